# What clients see when something fails or changes: the primary is killed, a replica is replaced, one comes back that was away.

# ours PROGRAM ARGUMENTS...: its replicas' words, and why it failed, go to a file; the end of that is shown if it does.
ours() {
  "$bin/$1" "${@:2}" 2>>"$work/replicas.log" && return
  tail -n 5 "$work/replicas.log" >&2
  return 1
}

# change TRIALS_EACH: ours and etcd's leader killed so many times in new clusters, and a replica of ours replaced. One round of turns.
change() {
  fresh failover
  ours consensus_failover --cluster "$work/failover" --trials "$1" >>"$work/ours.failover"
  etcd_up "$work/etcd"
  if ! etcd_failover "$work/etcd" "$1" >>"$work/etcd.failover"; then echo "etcd, failover: a round failed" >&2; fi
  etcd_down "$work/etcd"
  fresh replace
  ours consensus_replace --cluster "$work/replace" >>"$work/ours.replace"
  fresh replace
  ours consensus_replace --cluster "$work/replace" --leader >>"$work/ours.replace_leader"
}

# fresh NAME: an empty folder of that name.
fresh() { rm -rf "${work:?}/$1"; mkdir "$work/$1"; }

worst() { sort -g "$work/$1" | awk '{v = $1} END {print v}'; }

tell_of_changes() {
  local trials
  trials=$(wc -l <"$work/ours.failover")
  figure failover_median_ms "$(median ours.failover)" ms %.0f \
    "the primary killed (SIGKILL) to the acknowledgement of a write that began after it, $trials trials, what was acknowledged read again after each; etcd's leader killed in the same way: $(median etcd.failover)"
  figure failover_worst_ms "$(worst ours.failover)" ms %.0f "of the $trials; etcd's: $(worst etcd.failover) of $(wc -l <"$work/etcd.failover")"
  figure membership_gap_ms "$(median ours.replace)" ms %.0f \
    "longest time without an acknowledgement while a replica is replaced (new member, copy, voter, the old one removed) under 32 writes at once, median of $(wc -l <"$work/ours.replace") clusters, worst $(worst ours.replace); of a second before: $(median ours.replace '$2'); no write failed"
  record membership_gap_leader_ms "$(median ours.replace_leader)" ms %.0f "the same when the primary is replaced, worst $(worst ours.replace_leader)"
}

transfer() {
  fresh transfer
  ours consensus_transfer --cluster "$work/transfer" >"$work/ours.transfer"
  figure transfer_mb "$(median ours.transfer)" MB %.1f \
    "UDP payload that came to a replica from its start until it was up to date, by its transport's count ($(median ours.transfer '$2') MB left the three others, with what they tell each other): $(median ours.transfer '$3') values of 256 bytes, $(median ours.transfer '$4') of them changed while it was away, the blocks no longer kept"
  rm -rf "$work/transfer"
}

# Of the simulator's own line "... 804 simulated seconds in 5.8, 140 to one ...".
simulate() {
  local round
  for ((round = 0; round < 5; round++)); do
    ./dev sim --seeds 60 --first $((1 + 60 * round)) | sed -nE 's/.* ([0-9]+) to one.*/\1/p' >>"$work/sim"
  done
  figure sim_time_ratio "$(median sim)" ratio %.0f "simulated seconds for each second of ./dev sim, median of 5 rounds of 60 seeds"
}
