#include "orchestration/testing/memory_workload_driver.hpp"

#include <fmt/format.h>

#include <boost/asio/post.hpp>

namespace nexus::orchestration {

namespace {

class MemorySession final : public ProcessSession {
 public:
  explicit MemorySession(int code) : code_(code) {}
  base::Task<base::Result<std::optional<OutputChunk>>> read_output() override {
    co_return std::optional<OutputChunk>();
  }
  base::Task<base::Result<>> write_input(base::BytesView) override { co_return base::Result<>(); }
  base::Task<base::Result<>> close_input() override { co_return base::Result<>(); }
  base::Task<base::Result<>> resize(std::uint16_t, std::uint16_t) override {
    co_return base::Result<>();
  }
  base::Task<base::Result<int>> wait() override { co_return code_; }

 private:
  int code_;
};

base::Error unsupported(const char* what) {
  return base::make_error(base::Errc::Unsupported,
                          fmt::format("the driver in memory has no {}", what));
}

}  // namespace

base::Task<base::Result<>> MemoryWorkloadDriver::begin(std::string call) {
  co_await gate_.pass();
  calls.push_back(std::move(call));
  if (lost) co_return base::fail(base::Errc::Unavailable, "the driver is away");
  co_return base::Result<>();
}

std::string MemoryWorkloadDriver::name_of(const std::string& uid) const {
  const auto found = pods.find(uid);
  return found == pods.end() ? uid : found->second.spec.name;
}

MemoryWorkloadDriver::Container* MemoryWorkloadDriver::find(const ContainerId& id) {
  const auto pod = pods.find(id.pod_uid);
  if (pod == pods.end()) return nullptr;
  const auto container = pod->second.containers.find(id.name);
  return container == pod->second.containers.end() ? nullptr : &container->second;
}

void MemoryWorkloadDriver::tell(DriverEvent event) {
  boost::asio::post(executor_, [this, event = std::move(event)] {
    if (listener_) listener_(event);
  });
}

void MemoryWorkloadDriver::end(Container& container, int code) {
  container.status.state = ContainerState::Exited;
  container.status.pid = 0;
  container.status.exit_code = code;
  container.status.signal = code > 128 ? code - 128 : 0;
  container.status.finished = clock_.wall();
  tell({.kind = DriverEvent::Kind::ContainerExited, .container = container.status});
}

void MemoryWorkloadDriver::exit_container(const std::string& uid, const std::string& name, int code,
                                          bool out_of_memory) {
  Container* container = find({uid, name});
  if (container == nullptr || container->status.state != ContainerState::Running) return;
  container->status.out_of_memory = out_of_memory;
  end(*container, code);
}

void MemoryWorkloadDriver::set_lost(bool is_lost) {
  lost = is_lost;
  tell({.kind = lost ? DriverEvent::Kind::DriverLost : DriverEvent::Kind::DriverBack,
        .container = {}});
}

std::size_t MemoryWorkloadDriver::running() const {
  std::size_t count = 0;
  for (const auto& [uid, pod] : pods) {
    for (const auto& [name, container] : pod.containers)
      count += container.status.state == ContainerState::Running;
  }
  return count;
}

base::Task<base::Result<ImageStatus>> MemoryWorkloadDriver::pull_image(
    std::string reference, PullPolicy, std::optional<RegistryCredentials>) {
  CO_TRY_DO(co_await begin("pull " + reference));
  if (on_pull) {
    if (auto error = on_pull(reference)) co_return std::unexpected(std::move(*error));
  }
  co_await gate_.pass();
  co_return ImageStatus{
      .reference = reference, .resolved = reference + "@sha256:0", .bytes = 1, .user = ""};
}

base::Task<base::Result<PodStatus>> MemoryWorkloadDriver::create_pod(PodSpec spec) {
  CO_TRY_DO(co_await begin("create " + spec.name));
  auto [entry, made] = pods.try_emplace(spec.uid);
  Pod& pod = entry->second;
  if (made) {
    const std::uint32_t n = ++last_address_;
    pod.addresses = {fmt::format("fd00::{:x}", n), fmt::format("10.1.{}.{}", n / 250, n % 250 + 1)};
    pod.spec = spec;
  }
  PodStatus status{.uid = spec.uid,
                   .name_space = spec.name_space,
                   .name = spec.name,
                   .ready = true,
                   .addresses = pod.addresses,
                   .containers = {}};
  co_await gate_.pass();
  co_return status;
}

base::Task<base::Result<ContainerStatus>> MemoryWorkloadDriver::start_container(
    ContainerSpec spec) {
  CO_TRY_DO(co_await begin(
      fmt::format("start {}/{} {}", name_of(spec.id.pod_uid), spec.id.name, spec.attempt)));
  const auto pod = pods.find(spec.id.pod_uid);
  if (pod == pods.end()) {
    violations.push_back("a container is started in no sandbox: " + spec.id.name);
    co_return base::fail(base::Errc::NotFound, "no such pod");
  }
  if (on_start) {
    if (auto error = on_start(spec)) co_return std::unexpected(std::move(*error));
  }
  const auto known = pod->second.containers.find(spec.id.name);
  if (known != pod->second.containers.end()) {
    const ContainerStatus& status = known->second.status;
    if (status.attempt == spec.attempt) co_return status;
    if (status.state == ContainerState::Running) {
      violations.push_back(fmt::format("{}/{} is started while attempt {} runs",
                                       pod->second.spec.name, spec.id.name, status.attempt));
    }
    if (spec.attempt < status.attempt) violations.push_back("an attempt is older than the latest");
  }
  Container& container = pod->second.containers[spec.id.name];
  container.status = {.id = spec.id,
                      .attempt = spec.attempt,
                      .state = ContainerState::Running,
                      .pid = ++last_pid_,
                      .image = spec.image,
                      .started = clock_.wall()};
  container.limits = spec.resources;
  container.spec = std::move(spec);
  started.push_back(fmt::format("{}/{} {}", pod->second.spec.name, container.spec.id.name,
                                container.spec.attempt));
  const std::string image = container.spec.image.substr(0, container.spec.image.find('@'));
  const ContainerStatus started = container.status;
  if (const auto exits = exits_at_once.find(image); exits != exits_at_once.end())
    end(container, exits->second);
  co_await gate_.pass();
  co_return started;
}

base::Task<base::Result<ContainerStatus>> MemoryWorkloadDriver::stop_container(ContainerId id,
                                                                               base::Duration) {
  CO_TRY_DO(co_await begin(fmt::format("stop {}/{}", name_of(id.pod_uid), id.name)));
  Container* container = find(id);
  if (container == nullptr) co_return base::fail(base::Errc::NotFound, "no such container");
  if (container->status.state == ContainerState::Running) {
    if (on_stop) on_stop(pods.at(id.pod_uid));
    end(*container, 143);
  }
  const ContainerStatus status = container->status;
  co_await gate_.pass();
  co_return status;
}

base::Task<base::Result<>> MemoryWorkloadDriver::signal_container(ContainerId id, int signal) {
  co_return co_await begin(fmt::format("signal {} {}", id.name, signal));
}

base::Task<base::Result<>> MemoryWorkloadDriver::set_limits(ContainerId id, ResourceLimits limits) {
  CO_TRY_DO(co_await begin(fmt::format("limits {}/{}", name_of(id.pod_uid), id.name)));
  Container* container = find(id);
  if (container == nullptr) co_return base::fail(base::Errc::NotFound, "no such container");
  container->limits = limits;
  co_return base::Result<>();
}

base::Task<base::Result<>> MemoryWorkloadDriver::update_files(std::string pod_uid,
                                                              std::string volume,
                                                              std::vector<VolumeFile> files) {
  CO_TRY_DO(co_await begin(fmt::format("files {}/{}", name_of(pod_uid), volume)));
  const auto pod = pods.find(pod_uid);
  if (pod == pods.end()) co_return base::fail(base::Errc::NotFound, "no such pod");
  for (Volume& each : pod->second.spec.volumes) {
    if (auto* source = std::get_if<FilesVolume>(&each.source);
        source != nullptr && each.name == volume)
      source->files = files;
  }
  co_return base::Result<>();
}

base::Task<base::Result<>> MemoryWorkloadDriver::remove_pod(std::string uid) {
  CO_TRY_DO(co_await begin("remove " + name_of(uid)));
  if (const auto pod = pods.find(uid); pod != pods.end()) {
    if (on_stop) on_stop(pod->second);
    pods.erase(pod);
  }
  co_await gate_.pass();
  co_return base::Result<>();
}

base::Task<base::Result<std::vector<PodStatus>>> MemoryWorkloadDriver::list_pods() {
  CO_TRY_DO(co_await begin("list"));
  std::vector<PodStatus> out;
  for (const auto& [uid, pod] : pods) {
    PodStatus status{.uid = uid,
                     .name_space = pod.spec.name_space,
                     .name = pod.spec.name,
                     .ready = true,
                     .addresses = pod.addresses,
                     .containers = {}};
    for (const auto& [name, container] : pod.containers)
      status.containers.push_back(container.status);
    out.push_back(std::move(status));
  }
  if (const auto meanwhile = std::exchange(on_list, nullptr)) {
    meanwhile();
    co_await boost::asio::post(boost::asio::use_awaitable);
  }
  co_return out;
}

base::Task<base::Result<std::unique_ptr<ProcessSession>>> MemoryWorkloadDriver::exec(
    ExecSpec spec) {
  CO_TRY_DO(co_await begin(fmt::format("exec {}/{} {}", name_of(spec.container.pod_uid),
                                       spec.container.name, fmt::join(spec.command, " "))));
  co_return std::make_unique<MemorySession>(on_exec ? on_exec(spec) : 0);
}

base::Task<base::Result<std::unique_ptr<ProcessSession>>> MemoryWorkloadDriver::attach(
    ContainerId) {
  co_return std::unexpected(unsupported("attach"));
}
base::Task<base::Result<std::unique_ptr<LogReader>>> MemoryWorkloadDriver::logs(LogQuery) {
  co_return std::unexpected(unsupported("logs"));
}
base::Task<base::Result<std::unique_ptr<base::ByteStream>>> MemoryWorkloadDriver::connect(
    std::string, std::uint16_t) {
  co_return std::unexpected(unsupported("connections"));
}
base::Task<base::Result<std::unique_ptr<base::ByteStream>>> MemoryWorkloadDriver::copy_out(
    ContainerId, std::string) {
  co_return std::unexpected(unsupported("copies"));
}
base::Task<base::Result<std::unique_ptr<base::ByteStream>>> MemoryWorkloadDriver::copy_in(
    ContainerId, std::string) {
  co_return std::unexpected(unsupported("copies"));
}
base::Task<base::Result<std::vector<ContainerStats>>> MemoryWorkloadDriver::stats(std::string) {
  co_return std::unexpected(unsupported("stats"));
}

}  // namespace nexus::orchestration
