#include "orchestration/pod.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "manifest/int_or_string.hpp"
#include "manifest/quantity.hpp"
#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

namespace {

using std::chrono::seconds;

/// Port by number, or by name among the container's own. A name that none has keeps no pod from
/// running, as in Kubernetes: what asks that port fails.
template <class PortAction>
base::Result<> read_port(const Json& parent, const std::vector<ContainerPort>& ports,
                         PortAction& action) {
  const Json* port = find(parent, "port");
  if (port == nullptr) return base::fail(base::Errc::InvalidArgument, "a probe has no port");
  if (port->is_number_integer()) {
    action.port = static_cast<std::uint16_t>(port->get<std::int64_t>());
    return {};
  }
  if (!port->is_string())
    return base::fail(base::Errc::InvalidArgument, "a port is neither a number nor a name");
  const auto& name = port->get_ref<const std::string&>();
  const auto found = std::ranges::find(ports, name, &ContainerPort::name);
  if (found != ports.end()) {
    action.port = found->port;
  } else {
    action.missing_port = name;
  }
  return {};
}

/// Of a probe or a lifecycle hook; empty when `json` names no action.
base::Result<std::optional<Action>> read_action(const Json& json,
                                                const std::vector<ContainerPort>& ports) {
  if (const Json* http = find(json, "httpGet")) {
    HttpAction action;
    TRY_DO(read_port(*http, ports, action));
    action.host = text(*http, "host");
    action.path = text(*http, "path", "/");
    action.tls = text(*http, "scheme") == "HTTPS";
    for (const Json& header : items(*http, "httpHeaders")) {
      action.headers.emplace_back(text(header, "name"), text(header, "value"));
    }
    return Action(std::move(action));
  }
  if (const Json* tcp = find(json, "tcpSocket")) {
    TcpAction action;
    TRY_DO(read_port(*tcp, ports, action));
    action.host = text(*tcp, "host");
    return Action(std::move(action));
  }
  if (const Json* exec = find(json, "exec")) return Action(ExecAction{texts(*exec, "command")});
  if (const Json* sleep = find(json, "sleep")) {
    return Action(SleepAction{number_or(*sleep, "seconds", 0)});
  }
  return std::nullopt;
}

base::Result<std::optional<Probe>> read_probe(const Json& container, std::string_view key,
                                              const std::vector<ContainerPort>& ports) {
  const Json* json = find(container, key);
  if (json == nullptr) return std::nullopt;
  TRY(auto action, read_action(*json, ports));
  if (!action) return std::nullopt;
  Probe probe;
  probe.action = std::move(*action);
  probe.timing.initial_delay = seconds(number_or(*json, "initialDelaySeconds", 0));
  probe.timing.period = seconds(std::max<std::int64_t>(1, number_or(*json, "periodSeconds", 10)));
  probe.timing.timeout = seconds(std::max<std::int64_t>(1, number_or(*json, "timeoutSeconds", 1)));
  const auto threshold = [&](std::string_view name, std::int64_t fallback) {
    return static_cast<std::uint32_t>(std::max<std::int64_t>(1, number_or(*json, name, fallback)));
  };
  probe.timing.success_threshold = threshold("successThreshold", 1);
  probe.timing.failure_threshold = threshold("failureThreshold", 3);
  return probe;
}

base::Result<std::optional<manifest::Quantity>> read_quantity(const Json& amounts,
                                                              std::string_view name) {
  const Json* amount = find(amounts, name);
  if (amount == nullptr) return std::nullopt;
  const std::string written = amount->is_string() ? amount->get<std::string>() : amount->dump();
  TRY(auto quantity, manifest::Quantity::parse(written));
  return quantity;
}

std::uint64_t not_negative(std::int64_t value) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, value));
}

base::Result<> read_resources(const Json& resources, Container& container) {
  const Json& requests = at(resources, "requests");
  const Json& limits = at(resources, "limits");
  TRY(auto cpu_limit, read_quantity(limits, "cpu"));
  TRY(auto memory_limit, read_quantity(limits, "memory"));
  TRY(auto cpu, read_quantity(requests, "cpu"));
  TRY(auto memory, read_quantity(requests, "memory"));
  // A limit without a request is the request, as Kubernetes defaults it.
  if (!cpu) cpu = cpu_limit;
  if (!memory) memory = memory_limit;
  if (cpu) container.requests.cpu_millis = not_negative(cpu->millis());
  if (memory) container.requests.memory_bytes = not_negative(memory->value());
  if (cpu_limit) container.limits.cpu_millis_max = not_negative(cpu_limit->millis());
  if (memory_limit) container.limits.memory_bytes_max = not_negative(memory_limit->value());
  container.limits.cpu_millis_request = container.requests.cpu_millis;
  return {};
}

PullPolicy read_pull_policy(const Json& container) {
  const std::string policy = text(container, "imagePullPolicy");
  if (policy == "Always") return PullPolicy::Always;
  if (policy == "Never") return PullPolicy::Never;
  return PullPolicy::IfNotPresent;
}

base::Result<Container> read_container(const Json& json, bool init) {
  Container out;
  out.json = &json;
  out.name = text(json, "name");
  out.image = text(json, "image");
  out.init = init;
  out.pull_policy = read_pull_policy(json);
  for (const Json& port : items(json, "ports")) {
    out.ports.push_back({.name = text(port, "name"),
                         .protocol = read_protocol(text(port, "protocol", "TCP")),
                         .port = static_cast<std::uint16_t>(number_or(port, "containerPort", 0)),
                         .host_port = static_cast<std::uint16_t>(number_or(port, "hostPort", 0))});
  }
  TRY(out.startup, read_probe(json, "startupProbe", out.ports));
  TRY(out.liveness, read_probe(json, "livenessProbe", out.ports));
  TRY(out.readiness, read_probe(json, "readinessProbe", out.ports));
  const Json& lifecycle = at(json, "lifecycle");
  TRY(out.post_start, read_action(at(lifecycle, "postStart"), out.ports));
  TRY(out.pre_stop, read_action(at(lifecycle, "preStop"), out.ports));
  TRY_DO(read_resources(at(json, "resources"), out));
  return out;
}

void take_larger(Requests& into, const Requests& other) {
  into.cpu_millis = std::max(into.cpu_millis, other.cpu_millis);
  into.memory_bytes = std::max(into.memory_bytes, other.memory_bytes);
}
Requests sum(Requests a, const Requests& b) {
  a.cpu_millis += b.cpu_millis;
  a.memory_bytes += b.memory_bytes;
  return a;
}

}  // namespace

base::Result<> check_port_of(const Action& action) {
  std::string_view missing;
  if (const auto* http = std::get_if<HttpAction>(&action)) missing = http->missing_port;
  if (const auto* tcp = std::get_if<TcpAction>(&action)) missing = tcp->missing_port;
  if (missing.empty()) return {};
  return base::fail(base::Errc::FailedPrecondition,
                    fmt::format("no port of the container has the name \"{}\"", missing));
}

Protocol read_protocol(std::string_view text) {
  if (text == "UDP") return Protocol::Udp;
  if (text == "SCTP") return Protocol::Sctp;
  return Protocol::Tcp;
}
std::string_view to_text(Protocol protocol) {
  switch (protocol) {
    case Protocol::Udp:
      return "UDP";
    case Protocol::Sctp:
      return "SCTP";
    case Protocol::Tcp:
      break;
  }
  return "TCP";
}

std::string_view to_text(ProbeKind kind) {
  switch (kind) {
    case ProbeKind::Startup:
      return "Startup";
    case ProbeKind::Liveness:
      return "Liveness";
    case ProbeKind::Readiness:
      break;
  }
  return "Readiness";
}

std::string_view to_text(PodPhase phase) {
  switch (phase) {
    case PodPhase::Pending:
      return "Pending";
    case PodPhase::Running:
      return "Running";
    case PodPhase::Succeeded:
      return "Succeeded";
    case PodPhase::Failed:
      return "Failed";
    case PodPhase::Unknown:
      break;
  }
  return "Unknown";
}

const std::optional<Probe>& Container::probe(ProbeKind kind) const {
  if (kind == ProbeKind::Startup) return startup;
  return kind == ProbeKind::Liveness ? liveness : readiness;
}

const Container* Pod::container(std::string_view name) const {
  for (const auto* list : {&init_containers, &containers}) {
    const auto found = std::ranges::find(*list, name, &Container::name);
    if (found != list->end()) return &*found;
  }
  return nullptr;
}

const Json& Pod::spec() const {
  return at(object->json, "spec");
}

Requests Pod::requests() const {
  Requests together, init_peak;
  for (const Container& container : containers) together = sum(together, container.requests);
  for (const Container& container : init_containers) take_larger(init_peak, container.requests);
  take_larger(together, init_peak);
  return together;
}

std::string Pod::qos_class() const {
  bool any = false, guaranteed = true;
  for (const auto* list : {&init_containers, &containers}) {
    for (const Container& c : *list) {
      any = any || c.requests.cpu_millis > 0 || c.requests.memory_bytes > 0;
      guaranteed = guaranteed && c.limits.cpu_millis_max > 0 && c.limits.memory_bytes_max > 0 &&
                   c.limits.cpu_millis_max == c.requests.cpu_millis &&
                   c.limits.memory_bytes_max == c.requests.memory_bytes;
    }
  }
  if (!any) return "BestEffort";
  return guaranteed ? "Guaranteed" : "Burstable";
}

base::Result<std::shared_ptr<const Pod>> read_pod(ObjectPtr object) {
  auto pod = std::make_shared<Pod>();
  pod->object = std::move(object);
  const Json& json = pod->object->json;
  pod->meta = read_metadata(json);
  const Json& spec = at(json, "spec");
  pod->node = text(spec, "nodeName");
  const std::string policy = text(spec, "restartPolicy");
  if (policy == "OnFailure") pod->restart_policy = RestartPolicy::OnFailure;
  if (policy == "Never") pod->restart_policy = RestartPolicy::Never;
  pod->grace_seconds =
      std::max<std::int64_t>(0, number_or(spec, "terminationGracePeriodSeconds", 30));
  pod->active_deadline_seconds = number(spec, "activeDeadlineSeconds");
  for (const Json& container : items(spec, "initContainers")) {
    TRY(auto read, read_container(container, true));
    pod->init_containers.push_back(std::move(read));
  }
  for (const Json& container : items(spec, "containers")) {
    TRY(auto read, read_container(container, false));
    pod->containers.push_back(std::move(read));
  }
  for (const Json& gate : items(spec, "readinessGates")) {
    pod->readiness_gates.push_back(text(gate, "conditionType"));
  }
  pod->node_selector = text_map(spec, "nodeSelector");
  for (const Json& secret : items(spec, "imagePullSecrets")) {
    pod->pull_secrets.push_back(text(secret, "name"));
  }
  pod->host_network = flag(spec, "hostNetwork");
  return pod;
}

const Json* find_condition(const Json& status, std::string_view type) {
  for (const Json& condition : items(status, "conditions")) {
    if (text(condition, "type") == type) return &condition;
  }
  return nullptr;
}

PodState read_pod_state(const Json& pod) {
  PodState state;
  const Json& status = at(pod, "status");
  const std::string phase = text(status, "phase", "Pending");
  for (const PodPhase each : {PodPhase::Pending, PodPhase::Running, PodPhase::Succeeded,
                              PodPhase::Failed, PodPhase::Unknown}) {
    if (phase == to_text(each)) state.phase = each;
  }
  state.terminating = find(pod, "metadata", "deletionTimestamp") != nullptr;
  const Json* node = find(pod, "spec", "nodeName");
  state.scheduled =
      node != nullptr && node->is_string() && !node->get_ref<const std::string&>().empty();
  if (const Json* ready = find_condition(status, "Ready")) {
    const bool holds = text(*ready, "status") == "True";
    state.ready = holds && !state.terminating;
    state.leaving = holds && state.terminating;
    state.ready_since = time(*ready, "lastTransitionTime").value_or(base::WallTime{});
  }
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    for (const Json& container : items(status, list)) {
      state.restarts += number_or(container, "restartCount", 0);
    }
  }
  for (const Json& address : items(status, "podIPs"))
    state.addresses.push_back(text(address, "ip"));
  return state;
}

}  // namespace nexus::orchestration
