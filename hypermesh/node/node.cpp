#include "node/node.hpp"

#include <fmt/format.h>

#include "runtime/client/blocking_client.hpp"

namespace hypermesh {

namespace {

constexpr unsigned kTransfersMax = 3;  // layers at once
constexpr auto kKeeperWait = std::chrono::seconds(30);

}  // namespace

Node::Node(const base::Executor& executor, base::BlockingPool& pool, const base::Log& log,
           const NodeConfig& config, std::unique_ptr<Images> images)
    : log_(log),
      images_part_(std::move(images)),
      runtime_(images_part_->keeper, *images_part_->service, pool, log.with_component("runtime")),
      services_([this](base::Bytes table) { return runtime_.apply_services(std::move(table)); }),
      service_addresses_(config.identity.cluster),
      images_(runtime_),
      scope_(executor) {
  runtime_.on_new_keeper([this] { scope_.spawn(tell_new_keeper()); });
  scope_.spawn(adopt());
}

std::string Node::keeper_description() const {
  const keeper::Welcome& welcome = images_part_->keeper.welcome();
  if (welcome.oci_runtime.empty()) return {};
  return fmt::format("{}, cgroups {}", welcome.oci_runtime, welcome.cgroups);
}

base::Task<> Node::adopt() {
  for (;;) {
    auto adopted = co_await images_part_->keeper.ready(kKeeperWait);
    if (adopted) adopted = co_await runtime_.adopt();
    if (adopted) co_return;
    log_.warning("containers are not known yet", {{"error", adopted.error()}});
  }
}

base::Task<> Node::tell_new_keeper() {
  if (auto told = co_await services_.send_again(); !told)
    log_.warning("the new keeper has no service table", {{"error", told.error()}});
}

base::Task<> Node::stop() {
  scope_.cancel();
  co_await scope_.join();
  co_await images_part_->service->stop();
  co_await images_part_->keeper.stop();
}

base::Task<base::Result<std::unique_ptr<Node>>> NodeBuilder::build() {
  auto images = std::make_unique<Node::Images>(executor_, config_.keeper_socket,
                                               log_.with_component("keeper-client"));
  ImageServiceOptions options;
  options.root = (config_.state / "images").string();
  options.platform = host_platform();
  options.transfers_max = kTransfersMax;
  if (config_.identity.dev) options.registry.connector = machine_connector(config_.keeper_socket);
  auto service = ImageService::open(executor_, images->transfers, images->keeper, clock_, rng_,
                                    log_.with_component("images"), std::move(options));
  if (!service) {
    co_await images->keeper.stop();
    co_return std::unexpected(std::move(service).error());
  }
  images->service = *std::move(service);
  co_return std::unique_ptr<Node>(new Node(executor_, pool_, log_, config_, std::move(images)));
}

}  // namespace hypermesh
