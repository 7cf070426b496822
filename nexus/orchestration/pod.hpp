#pragma once

// A Pod as planners and its lifecycle read it. Read once for each change of the object.

#include <cstdint>
#include <nexus/health_types.hpp>
#include <nexus/service_types.hpp>
#include <nexus/workload_types.hpp>
#include <variant>

#include "orchestration/metadata.hpp"

namespace nexus::orchestration {

Protocol read_protocol(std::string_view text);
std::string_view to_text(Protocol protocol);

struct ContainerPort {
  std::string name;  ///< May be empty.
  Protocol protocol = Protocol::Tcp;
  std::uint16_t port = 0;
  std::uint16_t host_port = 0;
};

struct HttpAction {
  std::string host;  ///< Empty: the pod.
  std::uint16_t port = 0;
  std::string missing_port;  ///< Name that no port of the container has; then `port` is 0.
  std::string path = "/";
  bool tls = false;
  std::vector<std::pair<std::string, std::string>> headers;
};
struct TcpAction {
  std::string host;
  std::uint16_t port = 0;
  std::string missing_port;  ///< As above.
};
struct ExecAction {
  std::vector<std::string> command;
};
struct SleepAction {
  std::int64_t seconds = 0;
};
using Action = std::variant<HttpAction, TcpAction, ExecAction, SleepAction>;
/// Errors: FailedPrecondition (it asks a port by a name that no port has).
base::Result<> check_port_of(const Action& action);

struct Probe {
  Action action;
  ProbeTiming timing;
};
enum class ProbeKind : std::uint8_t { Startup, Liveness, Readiness };
std::string_view to_text(ProbeKind kind);

struct Requests {
  std::uint64_t cpu_millis = 0, memory_bytes = 0;
  bool operator==(const Requests&) const = default;
};

struct Container {
  std::string name, image;
  bool init = false;
  PullPolicy pull_policy = PullPolicy::IfNotPresent;
  std::vector<ContainerPort> ports;
  std::optional<Probe> startup, liveness, readiness;
  std::optional<Action> post_start, pre_stop;
  Requests requests;
  ResourceLimits limits;
  const Json* json = nullptr;  ///< The container in Pod::object: environment, mounts, security.

  const std::optional<Probe>& probe(ProbeKind kind) const;
};

enum class RestartPolicy : std::uint8_t { Always, OnFailure, Never };

struct Pod {
  ObjectPtr object;
  Metadata meta;
  std::string node;  ///< spec.nodeName
  RestartPolicy restart_policy = RestartPolicy::Always;
  std::int64_t grace_seconds = 30;
  std::optional<std::int64_t> active_deadline_seconds;
  std::vector<Container> init_containers, containers;
  std::vector<std::string> readiness_gates;
  std::map<std::string, std::string> node_selector;
  std::vector<std::string> pull_secrets;
  bool host_network = false;

  const Container* container(std::string_view name) const;
  const Json& spec() const;
  /// What placement counts: the sum of the containers, or what an init container needs if more.
  Requests requests() const;
  /// "Guaranteed", "Burstable", "BestEffort".
  std::string qos_class() const;
};

/// `object` is of kind Pod. Errors: InvalidArgument (a quantity or a port that cannot be read).
base::Result<std::shared_ptr<const Pod>> read_pod(ObjectPtr object);

enum class PodPhase : std::uint8_t { Pending, Running, Succeeded, Failed, Unknown };
std::string_view to_text(PodPhase phase);
/// Nothing of the pod runs, or ever will.
constexpr bool finished(PodPhase phase) {
  return phase == PodPhase::Succeeded || phase == PodPhase::Failed;
}

/// What planners count, from the stored status.
struct PodState {
  PodPhase phase = PodPhase::Pending;
  bool scheduled = false;  ///< spec.nodeName is set
  bool ready = false;      ///< Condition Ready; false for a pod that is being deleted
  base::WallTime ready_since{};
  std::int64_t restarts = 0;
  std::vector<std::string> addresses;  ///< As status.podIPs, IPv6 first.
  bool terminating = false;
  bool leaving = false;  ///< Being deleted, and the network may still lead to it.

  /// Neither finished nor being deleted: counts as a replica.
  bool active() const { return !terminating && !finished(phase); }
  /// Ready for `min_ready_seconds`.
  bool available(std::int64_t min_ready_seconds, base::WallTime now) const {
    return ready && ready_since + std::chrono::seconds(min_ready_seconds) <= now;
  }
};
PodState read_pod_state(const Json& pod);

/// The condition `type` of an object's status; null when there is none.
const Json* find_condition(const Json& status, std::string_view type);

}  // namespace nexus::orchestration
