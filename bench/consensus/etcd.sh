# Debian's etcd, three members on loopback with its own defaults (a sync for every batch, heartbeats each 100 ms, elections
# after 1 s), in a folder that goes with them.
etcd_pids=() etcd_ports=() etcd_endpoints=''
etcd_attempts=3  # On a busy machine it may lose its leader, and then fails what is under way.

# free_ports COUNT: different ports, below those that the kernel gives to clients, on which nobody listens.
free_ports() {
  local taken port ports=()
  taken=$(ss -Htln | awk '{sub(/.*:/, "", $4); print $4}')
  while ((${#ports[@]} < $1)); do
    port=$((20000 + RANDOM % 12000))
    grep -qx "$port" <(printf '%s\n' "$taken" "${ports[@]}") || ports+=("$port")
  done
  echo "${ports[@]}"
}

# etcd_up FOLDER: returns once every member has a leader. Somebody may take a port before etcd does, so it is tried again.
etcd_up() {
  local attempt
  for attempt in 1 2 3; do
    etcd_start "$1" && return
    echo "etcd did not start ($attempt of 3):" >&2
    tail -n 3 "$1"/member*.log >&2 || true
    etcd_down "$1"
  done
  return 1
}

etcd_start() {
  local i
  mkdir "$1"
  read -ra etcd_ports < <(free_ports 6)
  for i in 0 1 2; do etcd_member "$1" "$i"; done
  etcd_wait && etcd_leader_first
}

# etcd_member FOLDER I: starts it, for the first time or again.
etcd_member() {
  local peers='' i
  for i in 0 1 2; do peers+=${peers:+,}member$i=http://127.0.0.1:${etcd_ports[i + 3]}; done
  env -i PATH="$PATH" setpriv --pdeathsig KILL etcd --name "member$2" --data-dir "$1/member$2" \
    --listen-client-urls "$(etcd_url "$2")" --advertise-client-urls "$(etcd_url "$2")" \
    --listen-peer-urls "http://127.0.0.1:${etcd_ports[$2 + 3]}" --initial-advertise-peer-urls "http://127.0.0.1:${etcd_ports[$2 + 3]}" \
    --initial-cluster "$peers" --initial-cluster-token "${1##*/}" >>"$1/member$2.log" 2>&1 &
  etcd_pids[$2]=$!
}

etcd_url() { echo "http://127.0.0.1:${etcd_ports[$1]}"; }

# Until every member has a leader.
etcd_wait() {
  local end=$((SECONDS + 20)) i
  until etcd_healthy; do
    ((SECONDS < end)) || return 1
    for i in "${etcd_pids[@]}"; do kill -0 "$i" 2>/dev/null || return 1; done
    sleep 0.1
  done
}

# The number of the member that leads.
etcd_leader() {
  local i
  for i in 0 1 2; do
    if curl -s -m 5 --noproxy '*' "$(etcd_url "$i")/metrics" | grep -x 'etcd_server_is_leader 1' >/dev/null; then
      echo "$i"
      return
    fi
  done
  return 1
}

# etcd_but I: the endpoints of the others.
etcd_but() {
  local i others=()
  for i in 0 1 2; do ((i == $1)) || others+=("127.0.0.1:${etcd_ports[i]}"); done
  (IFS=,; echo "${others[*]}")
}

# A single client asks the first: the leader, so that nothing is passed on.
etcd_leader_first() {
  local leader
  leader=$(etcd_leader) || return 1  # An election came between.
  etcd_endpoints=127.0.0.1:${etcd_ports[leader]},$(etcd_but "$leader")
}

etcd_healthy() {
  local i
  for i in 0 1 2; do
    [[ $(curl -s -m 5 --noproxy '*' "$(etcd_url "$i")/health" | jq -r .health) == true ]] || return 1
  done
}

# etcd_load ARGUMENTS: as load_options.hpp has them; one line of numbers.
etcd_load() { "$bin/etcd_load" --endpoints "$etcd_endpoints" "$@"; }

# etcd_down FOLDER: ends them and removes what they wrote. Without any it does nothing.
etcd_down() {
  end_processes etcd_pids
  rm -rf "$1"
}

# etcd_failover FOLDER TRIALS: kills the leader, and starts it again, so many times; a line of milliseconds for each.
etcd_failover() {
  local trial leader
  for ((trial = 0; trial < $2; trial++)); do
    leader=$(etcd_leader)
    disown "${etcd_pids[leader]}"  # Or the shell would tell of its end.
    "$bin/etcd_failover" --endpoints "$(etcd_but "$leader")" --kill "${etcd_pids[leader]}"
    while kill -0 "${etcd_pids[leader]}" 2>/dev/null; do sleep 0.02; done
    etcd_member "$1" "$leader"
    etcd_wait
  done
}
