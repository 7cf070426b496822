#pragma once

// One container of a pod that runs on this node: its image, its attempts, its probes.

#include <map>

#include "health/probe_schedule.hpp"
#include "orchestration/pod.hpp"

namespace nexus::orchestration {

inline constexpr base::Duration kRestartBackOffFirst = std::chrono::seconds(10);
inline constexpr base::Duration kRestartBackOffMax = std::chrono::seconds(300);
/// A container that ran this long begins anew with its first, immediate restart.
inline constexpr base::Duration kRestartBackOffReset = std::chrono::minutes(10);

/// How an attempt ended.
struct Termination {
  std::int32_t exit_code = 0;
  std::int32_t signal = 0;
  std::string
      reason;  ///< "Completed", "Error", "OOMKilled", "StartError", "ContainerStatusUnknown"
  std::string message;
  base::WallTime started{}, finished{};
};

/// A delay that doubles.
class BackOff {
 public:
  BackOff(base::Duration first, base::Duration max) : first_(first), max_(max) {}
  base::Duration next() {
    delay_ = delay_ == base::Duration(0) ? first_ : std::min(delay_ * 2, max_);
    return delay_;
  }
  void reset() { delay_ = base::Duration(0); }
  base::Duration current() const { return delay_; }

 private:
  base::Duration first_, max_;
  base::Duration delay_{0};
};

struct ContainerRun {
  enum class Stage : std::uint8_t {
    Waiting,   ///< For its turn, its image, or the end of a back-off.
    Starting,  ///< The driver has been asked.
    Running,
    Stopping,  ///< Runs; its hook, or the driver, has been asked to end it.
    Ended,     ///< For good.
  };
  const Container* spec = nullptr;  ///< In the pod that the lifecycle holds.
  Stage stage = Stage::Waiting;
  std::string reason = "ContainerCreating";  ///< While waiting.
  std::string message;

  bool begun = false;  ///< An attempt was made; `attempt` is the latest.
  std::uint32_t attempt = 0;
  std::uint32_t next_attempt = 0;            ///< The one that comes, or is being made.
  std::optional<base::MonotonicTime> due{};  ///< Waiting: not before.
  std::uint32_t ends_in_a_row = 0;

  std::string image;  ///< As resolved; empty: to be fetched.
  bool pulling = false;
  std::optional<base::MonotonicTime> pull_due{};
  BackOff pull_back_off{kRestartBackOffFirst, kRestartBackOffMax};

  std::int32_t pid = 0;  ///< 0: has not been seen running since the daemon began.
  base::WallTime started_wall{};
  base::MonotonicTime started_mono{};
  bool hook_running = false;  ///< postStart while Running, preStop while Stopping.
  bool stop_asked = false;    ///< Stopping: the driver has been asked.
  std::optional<base::MonotonicTime> stop_deadline{};  ///< Stopping: the end of its grace.
  bool limits_changed = false;  ///< Starting: with limits that are old by now.
  bool started = false;         ///< The startup probe has passed, or there is none.
  bool ready = false;
  std::map<ProbeKind, ProbeSchedule> probes;

  std::optional<Termination> last{};   ///< The attempt before.
  std::optional<Termination> ended{};  ///< This attempt, when it has ended.

  bool alive() const { return stage == Stage::Running || stage == Stage::Stopping; }
  std::uint32_t restarts() const { return begun ? attempt : 0; }
  /// Ended for good, with success.
  bool succeeded() const { return stage == Stage::Ended && ended && ended->exit_code == 0; }
};

/// The delay before the attempt after the `ends`th end in a row: none, 10 s, 20 s, ... 300 s.
base::Duration restart_delay(std::uint32_t ends);

/// The end as Kubernetes words it.
Termination termination_of(const ContainerStatus& status, base::WallTime now);

}  // namespace nexus::orchestration
