// STOQ alone.

#include <filesystem>
#include <stoq/node/node.hpp>

#include "daemon/daemon.hpp"
#include "metrics_page.hpp"

namespace {

base::Task<base::Result<>> run(apps::DaemonContext daemon, base::Task<> stopped) {
  const std::string folder = daemon.config.text("stoq.data_directory");
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) co_return base::fail_errno(failed.value(), "making " + folder);
  const auto metrics = base::make_prometheus_metrics(apps::hidden_figures(daemon.config));
  CO_TRY(
      const auto node,
      stoq::NodeBuilder(daemon.executor, stoq::node_config(daemon.config, folder + "/identity.key"),
                        *metrics, daemon.log.with_component("stoq"))
          .build());
  std::unique_ptr<apps::MetricsPage> page;
  if (const std::string& listen = daemon.config.text("stoq.metrics_listen"); !listen.empty()) {
    const auto address = base::config::parse_endpoint(listen);
    if (!address) {
      co_return base::fail(base::Errc::InvalidArgument,
                           "stoq.metrics_listen: " + address.error().message);
    }
    CO_TRY(page, apps::MetricsPage::open(daemon.executor, *address, *metrics, daemon.log));
    daemon.log.info("metrics", {{"url", "http://" + page->address() + "/metrics"}});
  }
  node->start();
  daemon.log.info("ready", {{"node", node->id().text()}});
  co_await std::move(stopped);
  co_await node->stop();
  if (page) co_await page->stop();
  co_return base::Result<>();
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_daemon(argc, argv, "stoqd", run);
}
