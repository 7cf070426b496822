#include "runtime/client/container_runtime.hpp"

#include <fmt/format.h>

#include <base/async/blocking_pool.hpp>

#include "runtime/client/fd_stream.hpp"
#include "runtime/client/log_reader.hpp"
#include "runtime/client/process_sessions.hpp"
#include "runtime/core/container_image.hpp"
#include "runtime/core/request_checks.hpp"

namespace hypermesh {

using base::Errc;
using nexus::DriverEvent;

ContainerRuntime::ContainerRuntime(KeeperClient& keeper, ImageService& images,
                                   base::BlockingPool& pool, base::Log log, keeper::LogLimits logs)
    : keeper_(keeper), images_(images), pool_(pool), log_(std::move(log)), logs_(logs) {
  keeper_.on_event([this](const DriverEvent& event) {
    if (listener_) listener_(event);
  });
  keeper_.on_connection([this](bool connected, bool new_keeper) {
    if (new_keeper && new_keeper_) new_keeper_();
    if (listener_)
      listener_({connected ? DriverEvent::Kind::DriverBack : DriverEvent::Kind::DriverLost, {}});
  });
}

ContainerRuntime::~ContainerRuntime() {
  keeper_.on_event({});
  keeper_.on_connection({});
}

base::Task<base::Result<>> ContainerRuntime::adopt() {
  CO_TRY(const auto pods, co_await list_pods());
  for (const auto& pod : pods) {
    for (const auto& container : pod.containers) {
      auto lease =
          images_.lease(container.image, fmt::format("pod {}/{}", pod.name_space, pod.name));
      if (lease) {
        leases_.insert_or_assign(container.id, *std::move(lease));
      } else {
        log_.warning("a container's image is not known", {{"container", container.id.name},
                                                          {"image", container.image},
                                                          {"error", lease.error()}});
      }
    }
  }
  adopted_ = true;
  co_return base::Result<>{};
}

base::Result<> ContainerRuntime::require_adopted() const {
  if (adopted_) return {};
  return std::unexpected(base::with_hint(
      base::make_error(Errc::Unavailable,
                       "the keeper has not said yet which images its containers run from"),
      "try again once `hm doctor` finds the keeper"));
}

base::Task<base::Result<nexus::ImageStatus>> ContainerRuntime::pull_image(
    std::string reference, nexus::PullPolicy policy,
    std::optional<nexus::RegistryCredentials> credentials) {
  std::optional<RegistrySecret> secret;
  if (credentials) secret = RegistrySecret{credentials->user, credentials->password, {}};
  CO_TRY(const ImageDetails image, co_await images_.pull(reference, policy, std::move(secret)));
  co_return nexus::ImageStatus{std::move(reference), image.resolved, image.bytes,
                               image.config.user};
}

base::Task<base::Result<nexus::PodStatus>> ContainerRuntime::create_pod(nexus::PodSpec spec) {
  return keeper_.ask_for<nexus::PodStatus>(keeper::CreatePod{std::move(spec)});
}

base::Task<base::Result<nexus::ContainerStatus>> ContainerRuntime::start_container(
    nexus::ContainerSpec spec) {
  CO_TRY(const ImageDetails image, co_await images_.find(spec.image));
  CO_TRY(ImageLease lease,
         images_.lease(image.resolved,
                       fmt::format("container {} of pod {}", spec.id.name, spec.id.pod_uid)));
  const nexus::ContainerId id = spec.id;
  leases_.insert_or_assign(id, std::move(lease));
  CO_TRY(keeper::ContainerImage contribution, keeper::combine(spec, image.config));
  for (const auto& layer : image.layers) contribution.layers.push_back(layer.text());
  co_return co_await keeper_.ask_for<nexus::ContainerStatus>(
      keeper::StartContainer{std::move(spec), std::move(contribution), logs_});
}

base::Task<base::Result<nexus::ContainerStatus>> ContainerRuntime::stop_container(
    nexus::ContainerId id, base::Duration grace) {
  return keeper_.ask_for<nexus::ContainerStatus>(keeper::StopContainer{std::move(id), grace});
}

namespace {

base::Task<base::Result<>> ask_done(KeeperClient& keeper, keeper::Request request) {
  CO_TRY_DO(co_await keeper.ask_for<keeper::Done>(std::move(request)));
  co_return base::Result<>{};
}

}  // namespace

base::Task<base::Result<>> ContainerRuntime::signal_container(nexus::ContainerId id, int signal) {
  return ask_done(keeper_, keeper::SignalContainer{std::move(id), signal});
}
base::Task<base::Result<>> ContainerRuntime::set_limits(nexus::ContainerId id,
                                                        nexus::ResourceLimits limits) {
  return ask_done(keeper_, keeper::SetLimits{std::move(id), limits});
}
base::Task<base::Result<>> ContainerRuntime::update_files(std::string pod_uid, std::string volume,
                                                          std::vector<nexus::VolumeFile> files) {
  return ask_done(keeper_,
                  keeper::UpdateFiles{std::move(pod_uid), std::move(volume), std::move(files)});
}
base::Task<base::Result<>> ContainerRuntime::apply_services(base::Bytes table) {
  return ask_done(keeper_, keeper::ApplyServices{std::move(table)});
}

base::Task<base::Result<>> ContainerRuntime::remove_pod(std::string uid) {
  CO_TRY_DO(co_await ask_done(keeper_, keeper::RemovePod{uid}));
  std::erase_if(leases_, [&](const auto& entry) { return entry.first.pod_uid == uid; });
  co_return base::Result<>{};
}

base::Task<base::Result<std::vector<nexus::PodStatus>>> ContainerRuntime::list_pods() {
  return keeper_.ask_for<std::vector<nexus::PodStatus>>(keeper::ListPods{});
}

base::Task<base::Result<std::unique_ptr<nexus::ProcessSession>>> ContainerRuntime::exec(
    nexus::ExecSpec spec) {
  const bool terminal = spec.terminal, stdin_open = spec.stdin_open;
  CO_TRY(auto session, co_await keeper_.open_session(keeper::Exec{std::move(spec)}));
  if (session.fds.size() != (terminal ? 1u : stdin_open ? 3u : 2u)) {
    co_return base::fail(Errc::Internal, "the keeper sent other streams than were asked for");
  }
  co_return make_exec_session(keeper_, std::move(session), terminal, stdin_open);
}

base::Task<base::Result<std::unique_ptr<nexus::ProcessSession>>> ContainerRuntime::attach(
    nexus::ContainerId id) {
  auto ends = keeper_.watch_ends(id);
  CO_TRY(auto session, co_await keeper_.open_session(keeper::Attach{std::move(id)}));
  if (session.fds.size() != 1) co_return base::fail(Errc::Internal, "the keeper sent no stream");
  co_return make_attach_session(keeper_, std::move(ends), std::move(session));
}

base::Task<base::Result<std::unique_ptr<nexus::LogReader>>> ContainerRuntime::logs(
    nexus::LogQuery query) {
  CO_TRY_DO(keeper::check_pod_uid(query.container.pod_uid));
  CO_TRY_DO(keeper::check_container_name(query.container.name));
  if (!keeper_.connected()) CO_TRY_DO(co_await keeper_.ready(std::chrono::seconds(5)));
  std::string folder = fmt::format("{}/{}/{}", keeper_.welcome().log_folder,
                                   query.container.pod_uid, query.container.name);
  co_return co_await open_log_reader(pool_, std::move(folder), std::move(query));
}

base::Task<base::Result<std::unique_ptr<base::ByteStream>>> ContainerRuntime::connect(
    std::string pod_uid, std::uint16_t port) {
  CO_TRY(auto answer, co_await keeper_.ask(keeper::Connect{std::move(pod_uid), port}));
  if (answer.fds.size() != 1) co_return base::fail(Errc::Internal, "the keeper sent no socket");
  co_return make_socket_stream(keeper_.executor(), std::move(answer.fds[0]));
}

base::Task<base::Result<std::unique_ptr<base::ByteStream>>> ContainerRuntime::copy_out(
    nexus::ContainerId id, std::string path) {
  CO_TRY(auto session,
         co_await keeper_.open_session(keeper::CopyOut{std::move(id), std::move(path)}));
  if (session.fds.size() != 1) co_return base::fail(Errc::Internal, "the keeper sent no stream");
  co_return make_copy_out_stream(keeper_, std::move(session));
}
base::Task<base::Result<std::unique_ptr<base::ByteStream>>> ContainerRuntime::copy_in(
    nexus::ContainerId id, std::string path) {
  CO_TRY(auto session,
         co_await keeper_.open_session(keeper::CopyIn{std::move(id), std::move(path)}));
  if (session.fds.size() != 1) co_return base::fail(Errc::Internal, "the keeper sent no stream");
  co_return make_copy_in_stream(keeper_, std::move(session));
}

base::Task<base::Result<std::vector<nexus::ContainerStats>>> ContainerRuntime::stats(
    std::string pod_uid) {
  return keeper_.ask_for<std::vector<nexus::ContainerStats>>(keeper::Stats{std::move(pod_uid)});
}

base::Task<base::Result<std::vector<ImageSummary>>> ContainerRuntime::list_images() {
  return images_.list();
}
base::Task<base::Result<std::vector<std::string>>> ContainerRuntime::import_image(
    std::string path, std::string reference) {
  return images_.import_path(std::move(path), std::move(reference));
}
base::Task<base::Result<>> ContainerRuntime::export_image(std::string reference, std::string path) {
  return images_.export_path(std::move(reference), std::move(path));
}
base::Task<base::Result<std::string>> ContainerRuntime::inspect_image(std::string reference) {
  return images_.inspect(std::move(reference));
}
base::Task<base::Result<>> ContainerRuntime::remove_image(std::string reference) {
  CO_TRY_DO(require_adopted());
  co_return co_await images_.remove(std::move(reference));
}
base::Task<base::Result<GarbageReport>> ContainerRuntime::collect_garbage() {
  CO_TRY_DO(require_adopted());
  co_return co_await images_.collect_garbage();
}

}  // namespace hypermesh
