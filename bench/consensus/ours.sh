# HyperMesh's consensus: four replicas on loopback, each a process, in a folder that goes with them.
ours_pids=() ours_folder=''
ours_attempts=1  # What fails of ours fails the benchmark.

# ours_up FOLDER: returns once every replica has a primary.
ours_up() {
  local end=$((SECONDS + 20))
  ours_folder=$1
  mkdir "$1"
  # It prints "ready", stays, and its replicas end with it.
  setpriv --pdeathsig KILL "$bin/consensus_cluster" --cluster "$1" --replicas 4 >"$1/out" 2>"$1/log" &
  ours_pids=($!)
  until grep -qsx ready "$1/out"; do
    if ((SECONDS >= end)) || ! kill -0 "${ours_pids[0]}" 2>/dev/null; then
      echo "our cluster did not start:" >&2
      tail -n 5 "$1/log" >&2
      return 1
    fi
    sleep 0.1
  done
}

# ours_load ARGUMENTS: as load_options.hpp has them; one line of numbers.
ours_load() { "$bin/consensus_load" --cluster "$ours_folder" "$@"; }

# ours_down FOLDER: as etcd_down.
ours_down() {
  end_processes ours_pids
  rm -rf "$1"
}
