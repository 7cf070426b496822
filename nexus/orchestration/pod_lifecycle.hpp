#pragma once

// The life of one pod on this node, as a state machine without I/O.
//
// It is told what the object says, what the driver did and what time it is, and answers with what
// is to be done. Everything it must remember over a restart of the daemon is in two other places:
// the driver knows what runs, the object's status knows how often and how it ended. So after a
// crash a new lifecycle is told both and goes on: containers that run are taken over, never started
// twice.
//
// The end of a pod, in this order: it is not ready any more; the service network has been told and
// uses a table without it (Withdraw, Withdrawn); requests that are under way get a moment (the
// drain); hooks, SIGTERM, grace, SIGKILL; the sandbox goes; the object goes.

#include <nexus/workload_types.hpp>
#include <variant>

#include "orchestration/container_run.hpp"
#include "orchestration/event_log.hpp"

namespace nexus::orchestration {

/// Between the moment from which no new connection reaches the pod and its SIGTERM: what has just
/// been connected gets its answer.
inline constexpr base::Duration kDrain = std::chrono::seconds(1);
/// The service network is given this long to take a pod out.
inline constexpr base::Duration kWithdrawMax = std::chrono::seconds(5);
/// Beyond its grace a container has this long to be reported as ended; then the whole pod is
/// removed.
inline constexpr base::Duration kStopSlack = std::chrono::seconds(2);
/// What is wrong with configuration is looked at again this often; a change is noticed at once.
inline constexpr base::Duration kConfigRetry = std::chrono::seconds(10);

enum class HookKind : std::uint8_t { PostStart, PreStop };

namespace pod_event {
struct Desired {
  std::shared_ptr<const Pod> pod;  ///< Null: the object is gone without us.
};
/// What the driver has of it; nothing: it has no such pod. Sent first, and whenever the driver was
/// away.
struct Observed {
  std::optional<PodStatus> status;
};
struct SandboxDone {
  base::Result<PodStatus> result;
  bool config = false;  ///< The error is one of configuration: nothing was asked of the driver.
};
struct PullDone {
  std::string container, image;  ///< As in the effect.
  base::Result<ImageStatus> result;
};
struct StartDone {
  std::string container;
  std::uint32_t attempt = 0;
  base::Result<ContainerStatus> result;
  bool config = false;
};
struct StopDone {
  std::string container;
  std::uint32_t attempt = 0;
  base::Result<ContainerStatus> result;
};
struct Exited {
  ContainerStatus status;
};
struct HookDone {
  std::string container;
  std::uint32_t attempt = 0;
  HookKind kind;
  base::Result<> result;
};
struct CheckDone {
  std::string container;
  std::uint32_t attempt = 0;
  ProbeKind kind;
  CheckResult result;
};
struct Withdrawn {
  bool was_endpoint = false;  ///< Connections may have reached it until now.
};
struct RemoveDone {
  base::Result<> result;
};
struct ConfigChanged {};
struct DriverLost {};
struct Tick {};
}  // namespace pod_event
using PodEvent = std::variant<pod_event::Desired, pod_event::Observed, pod_event::SandboxDone,
                              pod_event::PullDone, pod_event::StartDone, pod_event::StopDone,
                              pod_event::Exited, pod_event::HookDone, pod_event::CheckDone,
                              pod_event::Withdrawn, pod_event::RemoveDone, pod_event::ConfigChanged,
                              pod_event::DriverLost, pod_event::Tick>;

namespace pod_effect {
struct CreateSandbox {
  bool operator==(const CreateSandbox&) const = default;
};
struct PullImage {
  std::string container, image;
  bool operator==(const PullImage&) const = default;
};
struct StartContainer {
  std::string container;
  std::uint32_t attempt = 0;
  std::string image;
  bool operator==(const StartContainer&) const = default;
};
struct StopContainer {
  std::string container;
  std::uint32_t attempt = 0;
  base::Duration grace{0};
  bool operator==(const StopContainer&) const = default;
};
struct RunHook {
  std::string container;
  std::uint32_t attempt = 0;
  HookKind kind;
  bool operator==(const RunHook&) const = default;
};
struct RunCheck {
  std::string container;
  std::uint32_t attempt = 0;
  ProbeKind kind;
  bool operator==(const RunCheck&) const = default;
};
struct SetLimits {
  std::string container;
  ResourceLimits limits;
  bool operator==(const SetLimits&) const = default;
};
struct Withdraw {
  bool operator==(const Withdraw&) const = default;
};
struct RemovePod {
  bool operator==(const RemovePod&) const = default;
};
/// Nothing is left of it on this node; the object may go.
struct DeleteObject {
  bool operator==(const DeleteObject&) const = default;
};
struct Tell {
  bool warning = false;
  std::string reason, message;
  bool operator==(const Tell&) const = default;
};
}  // namespace pod_effect
using PodEffect =
    std::variant<pod_effect::CreateSandbox, pod_effect::PullImage, pod_effect::StartContainer,
                 pod_effect::StopContainer, pod_effect::RunHook, pod_effect::RunCheck,
                 pod_effect::SetLimits, pod_effect::Withdraw, pod_effect::RemovePod,
                 pod_effect::DeleteObject, pod_effect::Tell>;
using PodEffects = std::vector<PodEffect>;

/// Where the pod runs, for its status.
struct NodeFacts {
  std::string name;
  std::vector<std::string> addresses;  ///< IPv6 first.
};

class PodLifecycle {
 public:
  explicit PodLifecycle(NodeFacts node) : node_(std::move(node)) {}

  /// The first two events are Desired and Observed, in this order.
  PodEffects step(PodEvent event, Now now);
  /// When Tick is due.
  std::optional<base::MonotonicTime> next_timeout() const;

  /// The object's status as it should be. What other controllers wrote into `stored` (conditions of
  /// readiness gates) stays. Equal when nothing changed since it was stored.
  Json status(const Json& stored) const;

  /// Takes traffic: every container is ready, the gates are open, and it is not being stopped.
  bool ready() const { return ready_ && !stopping(); }
  const std::vector<std::string>& addresses() const { return addresses_; }
  bool sandbox_ready() const { return sandbox_ == Sandbox::Ready; }
  const std::shared_ptr<const Pod>& pod() const { return pod_; }
  /// The last effect was DeleteObject, and nothing is under way.
  bool gone() const { return end_ == End::Gone; }
  PodPhase phase() const { return phase_; }

 private:
  enum class Sandbox : std::uint8_t { None, Creating, Ready };
  enum class End : std::uint8_t { No, Withdrawing, Draining, Stopping, Removing, Gone };
  struct ConditionState {
    bool holds = false;
    std::string reason, message;
    base::WallTime since{};
  };
  using Stage = ContainerRun::Stage;

  // Events.
  void on(pod_event::Desired& event);
  void on(pod_event::Observed& event);
  void on(pod_event::SandboxDone& event);
  void on(pod_event::PullDone& event);
  void on(pod_event::StartDone& event);
  void on(pod_event::StopDone& event);
  void on(pod_event::Exited& event);
  void on(pod_event::HookDone& event);
  void on(pod_event::CheckDone& event);
  void on(pod_event::Withdrawn& event);
  void on(pod_event::RemoveDone& event);
  void on(pod_event::ConfigChanged& event);
  void on(pod_event::DriverLost& event);
  void on(pod_event::Tick&) {}

  // What is known at the start (pod_restore.cpp).
  void bind_containers();
  void restore(const Json& status);
  void restore_container(ContainerRun& run, const Json& status);
  void lose_sandbox();
  void lose_container(ContainerRun& run);
  void adopt(ContainerRun& run, const ContainerStatus& status);

  // What is to be done next (pod_lifecycle.cpp).
  void advance();
  void advance_sandbox();
  void advance_images();
  void advance_containers();
  bool start_if_due(ContainerRun& run);
  void advance_probes(ContainerRun& run);
  void refresh();

  // Running and ending of one container.
  void running(ContainerRun& run, const ContainerStatus& status, bool adopted);
  void begin_probes(ContainerRun& run, bool adopted);
  void container_ended(ContainerRun& run, Termination end);
  bool will_restart(const ContainerRun& run, const Termination& end) const;
  void begin_stop(ContainerRun& run, base::Duration grace);
  void continue_stop(ContainerRun& run);

  // The end of the pod (pod_ending.cpp).
  bool stopping() const { return end_ != End::No || !failure_reason_.empty(); }
  void advance_end();
  bool stop_containers(base::Duration grace);
  void check_deadline();
  base::Duration grace_left() const;

  ContainerRun* find(std::string_view name);
  bool init_done() const;
  PodPhase compute_phase() const;
  void set_condition(const std::string& type, bool holds, std::string reason, std::string message);
  Json container_statuses(bool init) const;
  Json state_of(const ContainerRun& run) const;
  void emit(PodEffect effect) { effects_.push_back(std::move(effect)); }
  void tell(bool warning, std::string reason, std::string message) {
    emit(pod_effect::Tell{warning, std::move(reason), std::move(message)});
  }

  NodeFacts node_;
  Now now_{};
  PodEffects effects_;

  std::shared_ptr<const Pod> pod_;
  bool observed_ = false;
  bool driver_up_ = true;
  std::vector<ContainerRun> runs_;  // init containers first, in order

  Sandbox sandbox_ = Sandbox::None;
  std::optional<base::MonotonicTime> sandbox_due_;
  BackOff sandbox_back_off_{std::chrono::seconds(1), std::chrono::seconds(60)};
  std::string sandbox_problem_;
  std::vector<std::string> addresses_;
  std::optional<base::WallTime> start_time_;

  bool ready_ = false;
  PodPhase phase_ = PodPhase::Pending;
  std::map<std::string, ConditionState> conditions_;
  std::string failure_reason_, failure_message_;  // killed from within: DeadlineExceeded

  End end_ = End::No;
  bool object_gone_ = false;
  std::optional<base::MonotonicTime>
      end_due_;  // of Withdrawing and Draining; of another try of Removing
  bool removing_ = false;
  bool delete_asked_ = false;
};

}  // namespace nexus::orchestration
