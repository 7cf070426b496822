# Shared by the node's benchmarks. WORK is a scratch folder, HM_HOME the node's, bin the programs.
bin=$PWD/build/release/bin
image=bench.invalid/busybox:1
socket=$HM_HOME/n1/run/api.sock

hm() { "$bin/hypermesh" "$@" >>"$WORK/hm.log" 2>&1 || { tail -n 20 "$WORK/hm.log" >&2; return 1; }; }
median() { sort -n "$@" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
milliseconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN {printf "%.3f\n", (b - a) * 1000}'; }
pid_of() { cut -d' ' -f1 "$HM_HOME/n1/$1.pid"; }
# Every process of the product: daemon, keeper, and what the keeper keeps for itself.
product_pids() { pid_of hypermeshd; pid_of keeper; pgrep -P "$(pid_of keeper)" 'hypermesh-' || true; }
product_pss_kib() { local p; for p in $(product_pids); do awk '/^Pss:/ {print $2}' "/proc/$p/smaps_rollup"; done | awk '{s += $1} END {print s}'; }
product_ticks() { local p; for p in $(product_pids); do awk '{print $14 + $15}' "/proc/$p/stat"; done | awk '{s += $1} END {print s}'; }
ready_pods() { "$bin/hypermesh" ps -o json | jq '[.items[] | select(.ready)] | length'; }
# until_equal SECONDS WANTED COMMAND...
until_equal() {
  local limit=$1 wanted=$2 end; shift 2
  end=$((SECONDS + limit))
  until [[ $("$@") == "$wanted" ]]; do ((SECONDS < end)) || { echo "$* is not $wanted after ${limit}s" >&2; return 1; }; sleep 0.2; done
}
make_image() {  # make_image LAYOUT: static busybox, as `web` in an OCI layout and as LAYOUT.tar
  umoci init --layout "$1"; umoci new --image "$1:web"
  umoci unpack --image "$1:web" "$1.bundle" 2>/dev/null
  mkdir -p "$1.bundle"/rootfs/{bin,etc,proc,sys,dev,tmp}
  cp "$(command -v busybox)" "$1.bundle/rootfs/bin/busybox"
  for name in sh echo sleep; do ln -s busybox "$1.bundle/rootfs/bin/$name"; done
  umoci repack --image "$1:web" "$1.bundle"
  umoci config --image "$1:web" --config.env PATH=/bin --config.cmd sh
  tar -C "$1" -cf "$1.tar" .
}
clean_up() {
  "$bin/hypermesh" dev reset -y >/dev/null 2>&1 || true
  find /sys/fs/cgroup -depth -type d -path "*/hm-bench-$$*" -exec rmdir {} + 2>/dev/null || true
  rm -rf --one-file-system "$WORK"
}
