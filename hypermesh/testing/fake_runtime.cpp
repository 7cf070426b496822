#include "testing/fake_runtime.hpp"

#include <fmt/format.h>

#include <csignal>

namespace hypermesh {
namespace {

using nexus::ContainerState;
using nexus::DriverEvent;

std::string text(const nexus::ContainerId& id) {
  return id.pod_uid + "/" + id.name;
}

class FakeSession final : public nexus::ProcessSession {
 public:
  explicit FakeSession(FakeRuntime::ExecAnswer answer) : answer_(std::move(answer)) {
    for (bool is_stderr : {false, true}) {
      const std::string& output = is_stderr ? answer_.error_output : answer_.output;
      if (!output.empty())
        chunks_.push_back({is_stderr, base::Bytes(output.begin(), output.end())});
    }
  }
  base::Task<base::Result<std::optional<nexus::OutputChunk>>> read_output() override {
    if (chunks_.empty()) co_return std::nullopt;
    nexus::OutputChunk chunk = std::move(chunks_.front());
    chunks_.pop_front();
    co_return chunk;
  }
  // Input comes back as output, as `cat` does it.
  base::Task<base::Result<>> write_input(base::BytesView bytes) override {
    chunks_.push_back({false, base::Bytes(bytes.begin(), bytes.end())});
    co_return base::Result<>{};
  }
  base::Task<base::Result<>> close_input() override { co_return base::Result<>{}; }
  base::Task<base::Result<>> resize(std::uint16_t, std::uint16_t) override {
    co_return base::Result<>{};
  }
  base::Task<base::Result<int>> wait() override { co_return answer_.exit_code; }

 private:
  FakeRuntime::ExecAnswer answer_;
  std::deque<nexus::OutputChunk> chunks_;
};

class FakeLog final : public nexus::LogReader {
 public:
  explicit FakeLog(std::vector<nexus::LogRecord> records)
      : records_(records.begin(), records.end()) {}
  base::Task<base::Result<std::optional<nexus::LogRecord>>> next() override {
    if (records_.empty()) co_return std::nullopt;
    nexus::LogRecord record = std::move(records_.front());
    records_.pop_front();
    co_return record;
  }

 private:
  std::deque<nexus::LogRecord> records_;
};

base::Error no_files() {
  return base::make_error(base::Errc::Unsupported,
                          "a runtime in memory has neither files nor sockets");
}

}  // namespace

base::Result<> FakeRuntime::begin(const std::string& call, const std::string& about) {
  calls.push_back(about.empty() ? call : call + " " + about);
  if (lost_) return base::fail(base::Errc::Unavailable, "the keeper does not answer");
  auto& queued = failures_[call];
  if (queued.empty()) return {};
  base::Error error = std::move(queued.front());
  queued.pop_front();
  return std::unexpected(std::move(error));
}

void FakeRuntime::tell(DriverEvent::Kind kind, const nexus::ContainerStatus& status) {
  if (listener_ && !lost_) listener_({kind, status});
}

void FakeRuntime::add_image(std::string reference, std::string user) {
  nexus::ImageStatus image{
      reference, fmt::format("{}@sha256:{:064x}", reference, images_.size() + 1), 1 << 20, user};
  images_[std::move(reference)] = std::move(image);
}

const FakeRuntime::Container* FakeRuntime::find(const nexus::ContainerId& id) const {
  const auto pod = pods_.find(id.pod_uid);
  if (pod == pods_.end()) return nullptr;
  const auto container = pod->second.containers.find(id.name);
  return container == pod->second.containers.end() ? nullptr : &container->second;
}

void FakeRuntime::exit_container(const nexus::ContainerId& id, int exit_code, int signal,
                                 bool out_of_memory) {
  auto* container = const_cast<Container*>(find(id));
  BASE_ASSERT(container && container->status.state == ContainerState::Running,
              "the container does not run");
  auto& status = container->status;
  status.state = ContainerState::Exited;
  status.pid = 0;
  status.exit_code = signal ? 128 + signal : exit_code;
  status.signal = signal;
  status.out_of_memory = out_of_memory;
  status.finished = now;
  tell(DriverEvent::Kind::ContainerExited, status);
  changed_.notify();
}

void FakeRuntime::append_log(const nexus::ContainerId& id, std::string line, bool is_stderr) {
  auto* container = const_cast<Container*>(find(id));
  BASE_ASSERT(container, "no such container");
  container->log.push_back({now, is_stderr, false, std::move(line)});
}

void FakeRuntime::lose() {
  tell(DriverEvent::Kind::DriverLost, {});
  lost_ = true;
}

void FakeRuntime::bring_back() {
  lost_ = false;
  tell(DriverEvent::Kind::DriverBack, {});
}

base::Result<FakeRuntime::Container*> FakeRuntime::running(const nexus::ContainerId& id) {
  const Container* container = find(id);
  if (!container) return base::fail(base::Errc::NotFound, fmt::format("no container {}", text(id)));
  if (container->status.state != ContainerState::Running) {
    return base::fail(base::Errc::FailedPrecondition,
                      fmt::format("container {} does not run", text(id)));
  }
  return const_cast<Container*>(container);
}

nexus::PodStatus FakeRuntime::status_of(const Pod& pod) const {
  nexus::PodStatus status{pod.spec.uid, pod.spec.name_space, pod.spec.name,
                          true,         pod.addresses,       {}};
  for (const auto& [name, container] : pod.containers)
    status.containers.push_back(container.status);
  return status;
}

base::Task<base::Result<nexus::ImageStatus>> FakeRuntime::pull_image(
    std::string reference, nexus::PullPolicy policy, std::optional<nexus::RegistryCredentials>) {
  CO_TRY_DO(begin("pull_image", reference));
  if (!images_.contains(reference)) {
    if (policy == nexus::PullPolicy::Never) {
      co_return base::fail(base::Errc::FailedPrecondition,
                           fmt::format("image {} is not present", reference));
    }
    if (!any_image)
      co_return base::fail(base::Errc::NotFound, fmt::format("no image {}", reference));
    add_image(reference);
  }
  co_return images_[reference];
}

base::Task<base::Result<nexus::PodStatus>> FakeRuntime::create_pod(nexus::PodSpec spec) {
  CO_TRY_DO(begin("create_pod", spec.uid));
  auto [pod, is_new] = pods_.try_emplace(spec.uid);
  if (is_new) {
    const auto index = next_address_++;
    pod->second.addresses = {fmt::format("fd00:0:0:1::{:x}", index),
                             fmt::format("10.99.1.{}", index)};
    pod->second.spec = std::move(spec);
  }
  co_return status_of(pod->second);
}

base::Task<base::Result<nexus::ContainerStatus>> FakeRuntime::start_container(
    nexus::ContainerSpec spec) {
  CO_TRY_DO(begin("start_container", fmt::format("{}#{}", text(spec.id), spec.attempt)));
  const auto pod = pods_.find(spec.id.pod_uid);
  if (pod == pods_.end())
    co_return base::fail(base::Errc::NotFound, fmt::format("no pod {}", spec.id.pod_uid));
  auto& containers = pod->second.containers;
  if (const auto old = containers.find(spec.id.name); old != containers.end()) {
    auto& status = old->second.status;
    if (status.attempt == spec.attempt) co_return status;
    if (status.attempt > spec.attempt || status.state != ContainerState::Exited) {
      co_return base::fail(
          base::Errc::FailedPrecondition,
          fmt::format("attempt {} of {} is there already", status.attempt, text(spec.id)));
    }
  }
  Container& container = containers[spec.id.name];
  container.previous_log = std::move(container.log);
  container.log.clear();
  container.signals.clear();
  container.limits = spec.resources;
  container.status = {
      spec.id, spec.attempt, ContainerState::Running, next_pid_++, 0, 0, false, spec.image, "", now,
      {}};
  container.spec = std::move(spec);
  tell(DriverEvent::Kind::ContainerStarted, container.status);
  co_return container.status;
}

base::Task<base::Result<nexus::ContainerStatus>> FakeRuntime::stop_container(nexus::ContainerId id,
                                                                             base::Duration) {
  CO_TRY_DO(begin("stop_container", text(id)));
  const Container* found = find(id);
  if (!found) co_return base::fail(base::Errc::NotFound, fmt::format("no container {}", text(id)));
  const auto attempt = found->status.attempt;
  if (found->status.state == ContainerState::Running && !ignore_stop)
    exit_container(id, 0, SIGTERM);
  for (;;) {
    found = find(id);
    if (!found || found->status.attempt != attempt) {
      co_return base::fail(base::Errc::NotFound, fmt::format("container {} is gone", text(id)));
    }
    if (found->status.state != ContainerState::Running) co_return found->status;
    co_await changed_.wait();
  }
}

base::Task<base::Result<>> FakeRuntime::signal_container(nexus::ContainerId id, int signal) {
  CO_TRY_DO(begin("signal_container", fmt::format("{} {}", text(id), signal)));
  CO_TRY(Container * container, running(id));
  container->signals.push_back(signal);
  if (signal == SIGKILL) exit_container(id, 0, SIGKILL);
  co_return base::Result<>{};
}

base::Task<base::Result<>> FakeRuntime::set_limits(nexus::ContainerId id,
                                                   nexus::ResourceLimits limits) {
  CO_TRY_DO(begin("set_limits", text(id)));
  CO_TRY(Container * container, running(id));
  container->limits = limits;
  co_return base::Result<>{};
}

base::Task<base::Result<>> FakeRuntime::update_files(std::string pod_uid, std::string volume,
                                                     std::vector<nexus::VolumeFile> files) {
  CO_TRY_DO(begin("update_files", pod_uid + "/" + volume));
  const auto pod = pods_.find(pod_uid);
  if (pod == pods_.end())
    co_return base::fail(base::Errc::NotFound, fmt::format("no pod {}", pod_uid));
  for (auto& candidate : pod->second.spec.volumes) {
    auto* source = std::get_if<nexus::FilesVolume>(&candidate.source);
    if (candidate.name != volume || !source) continue;
    source->files = std::move(files);
    co_return base::Result<>{};
  }
  co_return base::fail(base::Errc::NotFound,
                       fmt::format("pod {} has no volume of files {}", pod_uid, volume));
}

base::Task<base::Result<>> FakeRuntime::remove_pod(std::string uid) {
  CO_TRY_DO(begin("remove_pod", uid));
  if (const auto pod = pods_.find(uid); pod != pods_.end()) {
    for (auto& [name, container] : pod->second.containers) {
      if (container.status.state == ContainerState::Running)
        exit_container({uid, name}, 0, SIGKILL);
    }
    pods_.erase(pod);
    changed_.notify();
  }
  co_return base::Result<>{};
}

base::Task<base::Result<std::vector<nexus::PodStatus>>> FakeRuntime::list_pods() {
  CO_TRY_DO(begin("list_pods", ""));
  std::vector<nexus::PodStatus> all;
  for (const auto& [uid, pod] : pods_) all.push_back(status_of(pod));
  co_return all;
}

base::Task<base::Result<std::unique_ptr<nexus::ProcessSession>>> FakeRuntime::exec(
    nexus::ExecSpec spec) {
  CO_TRY_DO(begin("exec", text(spec.container)));
  CO_TRY_DO(running(spec.container));
  co_return std::make_unique<FakeSession>(on_exec ? on_exec(spec) : ExecAnswer{});
}

base::Task<base::Result<std::unique_ptr<nexus::ProcessSession>>> FakeRuntime::attach(
    nexus::ContainerId id) {
  CO_TRY_DO(begin("attach", text(id)));
  CO_TRY_DO(running(id));
  co_return std::make_unique<FakeSession>(ExecAnswer{});
}

base::Task<base::Result<std::unique_ptr<nexus::LogReader>>> FakeRuntime::logs(
    nexus::LogQuery query) {
  CO_TRY_DO(begin("logs", text(query.container)));
  const Container* container = find(query.container);
  if (!container)
    co_return base::fail(base::Errc::NotFound,
                         fmt::format("no container {}", text(query.container)));
  auto records = query.previous ? container->previous_log : container->log;
  if (query.since)
    std::erase_if(records, [&](const auto& record) { return record.time < *query.since; });
  if (query.tail_lines && records.size() > *query.tail_lines) {
    records.erase(records.begin(), records.end() - static_cast<std::ptrdiff_t>(*query.tail_lines));
  }
  co_return std::make_unique<FakeLog>(std::move(records));
}

base::Task<base::Result<std::unique_ptr<base::ByteStream>>> FakeRuntime::connect(
    std::string pod_uid, std::uint16_t) {
  CO_TRY_DO(begin("connect", pod_uid));
  co_return std::unexpected(no_files());
}
base::Task<base::Result<std::unique_ptr<base::ByteStream>>> FakeRuntime::copy_out(
    nexus::ContainerId id, std::string) {
  CO_TRY_DO(begin("copy_out", text(id)));
  co_return std::unexpected(no_files());
}
base::Task<base::Result<std::unique_ptr<base::ByteStream>>> FakeRuntime::copy_in(
    nexus::ContainerId id, std::string) {
  CO_TRY_DO(begin("copy_in", text(id)));
  co_return std::unexpected(no_files());
}

base::Task<base::Result<std::vector<nexus::ContainerStats>>> FakeRuntime::stats(
    std::string pod_uid) {
  CO_TRY_DO(begin("stats", pod_uid));
  const auto pod = pods_.find(pod_uid);
  if (pod == pods_.end())
    co_return base::fail(base::Errc::NotFound, fmt::format("no pod {}", pod_uid));
  std::vector<nexus::ContainerStats> all;
  for (const auto& [name, container] : pod->second.containers) {
    if (container.status.state == ContainerState::Running)
      all.push_back({{pod_uid, name}, 1'000'000, 4 << 20, 1, 0, 0});
  }
  co_return all;
}

base::Task<base::Result<std::vector<ImageSummary>>> FakeRuntime::list_images() {
  CO_TRY_DO(begin("list_images", ""));
  std::vector<ImageSummary> all;
  for (const auto& [reference, image] : images_) {
    const std::string digest = image.resolved.substr(image.resolved.find('@') + 1);
    all.push_back({digest, {reference}, digest, "linux/amd64", image.bytes, {}, false});
  }
  co_return all;
}
base::Task<base::Result<std::vector<std::string>>> FakeRuntime::import_image(
    std::string path, std::string reference) {
  CO_TRY_DO(begin("import_image", path));
  if (reference.empty()) reference = path;
  add_image(reference);
  co_return std::vector<std::string>{reference};
}
base::Task<base::Result<>> FakeRuntime::export_image(std::string reference, std::string) {
  CO_TRY_DO(begin("export_image", reference));
  co_return std::unexpected(no_files());
}
base::Task<base::Result<std::string>> FakeRuntime::inspect_image(std::string reference) {
  CO_TRY_DO(begin("inspect_image", reference));
  if (!images_.contains(reference))
    co_return base::fail(base::Errc::NotFound, fmt::format("no image {}", reference));
  co_return std::string("{}");
}
base::Task<base::Result<>> FakeRuntime::remove_image(std::string reference) {
  CO_TRY_DO(begin("remove_image", reference));
  if (images_.erase(reference) == 0)
    co_return base::fail(base::Errc::NotFound, fmt::format("no image {}", reference));
  co_return base::Result<>{};
}
base::Task<base::Result<GarbageReport>> FakeRuntime::collect_garbage() {
  CO_TRY_DO(begin("collect_garbage", ""));
  co_return GarbageReport{};
}

}  // namespace hypermesh
