#include "node/node.hpp"

#include <fmt/format.h>

#include "runtime/client/blocking_client.hpp"

namespace hypermesh {

namespace {

constexpr auto kKeeperWait = std::chrono::seconds(30);
constexpr auto kTellRetry = std::chrono::seconds(1);
constexpr auto kAdoptRetry = std::chrono::seconds(1);

}  // namespace

Node::Node(const base::Executor& executor, base::BlockingPool& pool, const base::Log& log,
           const NodeConfig& config, std::unique_ptr<Ground> ground)
    : log_(log),
      ground_(std::move(ground)),
      runtime_(ground_->keeper, *ground_->images, pool, log.with_component("runtime"), config.logs),
      services_([this](base::Bytes table) { return runtime_.apply_services(std::move(table)); }),
      service_addresses_(config.identity.cluster),
      images_(runtime_),
      scope_(executor) {
  runtime_.on_new_keeper([this] { scope_.spawn(tell_new_keeper()); });
  scope_.spawn(adopt());
}

std::string Node::keeper_description() const {
  const keeper::Welcome& welcome = ground_->keeper.welcome();
  if (welcome.oci_runtime.empty()) return {};
  return fmt::format("{}, cgroups {}", welcome.oci_runtime, welcome.cgroups);
}

base::Task<> Node::adopt() {
  for (;;) {
    auto adopted = co_await ground_->keeper.ready(kKeeperWait);
    if (adopted) adopted = co_await runtime_.adopt();
    if (adopted) co_return;
    log_.warning("containers are not known yet", {{"error", adopted.error()}});
    co_await base::sleep_for(kAdoptRetry);
  }
}

base::Task<> Node::tell_new_keeper() {
  return services_.tell_new_keeper(kTellRetry, [this](const base::Error& error) {
    log_.warning("the new keeper has no service table yet", {{"error", error}});
  });
}

base::Task<> Node::stop() {
  scope_.cancel();
  co_await scope_.join();
  co_await ground_->images->stop();
  co_await ground_->keeper.stop();
}

base::Task<base::Result<std::unique_ptr<Node>>> NodeBuilder::build() {
  auto ground = std::make_unique<Node::Ground>(executor_, config_.keeper_socket,
                                               log_.with_component("keeper-client"));
  ImageServiceOptions options;
  options.root = (config_.state / "images").string();
  options.platform = host_platform();
  options.transfers_max = Node::kTransfersMax;
  if (config_.identity.dev) options.registry.connector = machine_connector(config_.keeper_socket);
  auto images = ImageService::open(executor_, ground->image_threads, ground->keeper, clock_, rng_,
                                   log_.with_component("images"), std::move(options));
  if (!images) {
    co_await ground->keeper.stop();
    co_return std::unexpected(std::move(images).error());
  }
  ground->images = *std::move(images);
  co_return std::unique_ptr<Node>(new Node(executor_, pool_, log_, config_, std::move(ground)));
}

}  // namespace hypermesh
