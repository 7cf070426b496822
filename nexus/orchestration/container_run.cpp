#include "orchestration/container_run.hpp"

namespace nexus::orchestration {

base::Duration restart_delay(std::uint32_t ends) {
  if (ends <= 1) return base::Duration(0);
  base::Duration delay = kRestartBackOffFirst;
  for (std::uint32_t i = 2; i < ends && delay < kRestartBackOffMax; ++i) delay *= 2;
  return std::min(delay, kRestartBackOffMax);
}

Termination termination_of(const ContainerStatus& status, base::WallTime now) {
  Termination end{.exit_code = status.exit_code,
                  .signal = status.signal,
                  .reason = status.exit_code == 0 ? "Completed" : "Error",
                  .message = status.message,
                  .started = status.started,
                  .finished = status.finished == base::WallTime{} ? now : status.finished};
  if (status.out_of_memory && status.exit_code != 0) {
    end.reason = "OOMKilled";
  } else if (!status.message.empty() && status.exit_code != 0 &&
             status.started == base::WallTime{}) {
    end.reason = "StartError";
  }
  return end;
}

}  // namespace nexus::orchestration
