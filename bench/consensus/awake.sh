# A virtual machine whose cores sleep learns of a finished write only at the next tick, milliseconds later: one client alone
# would measure that. The kernel is asked to poll instead of sleeping, where it does that on request; elsewhere a process for each
# core runs when nobody else wants to. That is worse: its core looks busy, and what wakes up queues on the other one.
awake_pids=() awake_request='' awake_how=''

stay_awake() {
  local core
  if grep -qv none /sys/devices/system/cpu/cpuidle/current_driver 2>/dev/null && [[ -w /dev/cpu_dma_latency ]]; then
    exec {awake_request}>/dev/cpu_dma_latency
    printf '\0\0\0\0' >&"$awake_request"  # Microseconds that waking up may take, as long as the file is open.
    awake_how='/dev/cpu_dma_latency at 0'
    return
  fi
  for ((core = $(nproc); core > 0; core--)); do
    setpriv --pdeathsig KILL chrt --idle 0 bash -c 'while :; do :; done' &
    awake_pids+=($!)
  done
  awake_how='spinners of idle priority'
}

sleep_again() {
  end_processes awake_pids
  [[ -z $awake_request ]] || exec {awake_request}>&-
  awake_request=''
}
