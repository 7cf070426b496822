# A virtual machine whose cores sleep learns of a finished write only at the next tick, milliseconds later: one client alone
# would measure that. A process for each core that runs when nobody else wants to keeps them awake.
awake_pids=()

stay_awake() {
  local core
  for ((core = $(nproc); core > 0; core--)); do
    setpriv --pdeathsig KILL chrt --idle 0 bash -c 'while :; do :; done' &
    awake_pids+=($!)
  done
}

sleep_again() { end_processes awake_pids; }
