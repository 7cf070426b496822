#include "orchestration/pod_calls.hpp"

#include <base/async/event.hpp>

#include "health/command_run.hpp"

namespace nexus::orchestration {

namespace {

namespace ev = pod_event;

/// An HTTP hook that takes longer has failed.
constexpr base::Duration kHttpHookMax = std::chrono::seconds(30);

std::vector<std::string> hosts_of(const std::string& host,
                                  const std::vector<std::string>& addresses) {
  return host.empty() ? addresses : std::vector<std::string>{host};
}

}  // namespace

std::optional<Check> check_of(const Action& action, ContainerId container,
                              const std::vector<std::string>& addresses) {
  if (const auto* http = std::get_if<HttpAction>(&action)) {
    return HttpCheck{.hosts = hosts_of(http->host, addresses),
                     .port = http->port,
                     .path = http->path,
                     .tls = http->tls,
                     .headers = http->headers};
  }
  if (const auto* tcp = std::get_if<TcpAction>(&action)) {
    return TcpCheck{.hosts = hosts_of(tcp->host, addresses), .port = tcp->port};
  }
  if (const auto* exec = std::get_if<ExecAction>(&action)) {
    return CommandCheck{.container = std::move(container), .command = exec->command};
  }
  return std::nullopt;
}

PodConfigInput PodCalls::config(const Pod& pod, std::vector<std::string> addresses) const {
  return {.pod = pod,
          .view = view_,
          .zone = node_.zone,
          .node_name = node_.name,
          .node_addresses = node_.addresses,
          .addresses = std::move(addresses)};
}

base::Task<PodEvent> PodCalls::create_sandbox(std::shared_ptr<const Pod> pod) {
  auto spec = resolve_pod(config(*pod, {}));
  if (!spec) co_return ev::SandboxDone{std::unexpected(std::move(spec).error()), true};
  co_return ev::SandboxDone{co_await needs_.driver.create_pod(*std::move(spec)), false};
}

base::Task<PodEvent> PodCalls::pull(std::shared_ptr<const Pod> pod, pod_effect::PullImage effect) {
  const Container* container = pod->container(effect.container);
  const PullPolicy policy =
      container == nullptr ? PullPolicy::IfNotPresent : container->pull_policy;
  auto credentials = registry_credentials(config(*pod, {}), effect.image);
  auto result = co_await needs_.driver.pull_image(effect.image, policy, std::move(credentials));
  co_return ev::PullDone{effect.container, effect.image, std::move(result)};
}

base::Task<PodEvent> PodCalls::start(std::shared_ptr<const Pod> pod,
                                     std::vector<std::string> addresses,
                                     pod_effect::StartContainer effect) {
  const Container* container = pod->container(effect.container);
  if (container == nullptr) {
    co_return ev::StartDone{effect.container, effect.attempt,
                            base::fail(base::Errc::NotFound, "the pod has no such container"),
                            true};
  }
  auto spec = resolve_container(config(*pod, std::move(addresses)), *container, effect.attempt,
                                effect.image);
  if (!spec) {
    co_return ev::StartDone{effect.container, effect.attempt,
                            std::unexpected(std::move(spec).error()), true};
  }
  auto result = co_await needs_.driver.start_container(*std::move(spec));
  co_return ev::StartDone{effect.container, effect.attempt, std::move(result), false};
}

base::Task<PodEvent> PodCalls::stop(std::string uid, pod_effect::StopContainer effect) {
  auto result =
      co_await needs_.driver.stop_container({std::move(uid), effect.container}, effect.grace);
  co_return ev::StopDone{effect.container, effect.attempt, std::move(result)};
}

base::Task<PodEvent> PodCalls::remove(std::string uid) {
  co_return ev::RemoveDone{co_await needs_.driver.remove_pod(std::move(uid))};
}

base::Task<base::Result<>> PodCalls::set_limits(std::string uid, pod_effect::SetLimits effect) {
  co_return co_await needs_.driver.set_limits({std::move(uid), effect.container}, effect.limits);
}

base::Task<PodEvent> PodCalls::hook(std::shared_ptr<const Pod> pod,
                                    std::vector<std::string> addresses,
                                    pod_effect::RunHook effect) {
  const Container* container = pod->container(effect.container);
  ev::HookDone done{effect.container, effect.attempt, effect.kind, {}};
  if (container == nullptr) co_return done;
  const auto& action =
      effect.kind == HookKind::PostStart ? container->post_start : container->pre_stop;
  if (!action) co_return done;
  done.result =
      co_await run_action(*action, {pod->meta.uid, effect.container}, std::move(addresses));
  co_return done;
}

base::Task<base::Result<>> PodCalls::run_action(Action action, ContainerId container,
                                                std::vector<std::string> addresses) {
  if (const auto* sleep = std::get_if<SleepAction>(&action)) {
    auto over = std::make_shared<base::Event>(executor_);
    needs_.alarms.call_at(needs_.clock.now() + std::chrono::seconds(sleep->seconds),
                          [over] { over->notify(); });
    co_await over->wait();
    co_return base::Result<>();
  }
  if (const auto* exec = std::get_if<ExecAction>(&action)) {
    co_return co_await run_command(needs_.driver, std::move(container), exec->command);
  }
  CO_TRY_DO(check_port_of(action));
  auto check = check_of(action, std::move(container), addresses);
  if (!check)
    co_return base::fail(base::Errc::Unsupported, "the hook is of a kind that is not served");
  const CheckResult result = co_await needs_.prober.run(*std::move(check), kHttpHookMax);
  if (!result.passed) co_return base::fail(base::Errc::FailedPrecondition, result.detail);
  co_return base::Result<>();
}

base::Task<PodEvent> PodCalls::check(std::shared_ptr<const Pod> pod,
                                     std::vector<std::string> addresses,
                                     pod_effect::RunCheck effect) {
  ev::CheckDone done{
      effect.container, effect.attempt, effect.kind, {false, "there is nothing to ask"}};
  const Container* container = pod->container(effect.container);
  if (container == nullptr || !container->probe(effect.kind)) co_return done;
  const Probe& probe = *container->probe(effect.kind);
  if (const auto port = check_port_of(probe.action); !port) {
    done.result = {.passed = false, .detail = port.error().message, .asked = false};
    co_return done;
  }
  auto check = check_of(probe.action, {pod->meta.uid, effect.container}, addresses);
  if (check) done.result = co_await needs_.prober.run(*std::move(check), probe.timing.timeout);
  co_return done;
}

}  // namespace nexus::orchestration
