// STOQ alone.

#include <filesystem>
#include <stoq/node/node.hpp>

#include "daemon/daemon.hpp"

namespace {

base::Task<base::Result<>> run(apps::DaemonContext daemon, base::Task<> stopped) {
  const std::string folder = daemon.config.text("stoq.data_directory");
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (failed) co_return base::fail_errno(failed.value(), "making " + folder);
  CO_TRY(
      const auto node,
      stoq::NodeBuilder(daemon.executor, stoq::node_config(daemon.config, folder + "/identity.key"),
                        daemon.log.with_component("stoq"))
          .build());
  daemon.log.info("ready", {{"node", node->id().text()}});
  co_await std::move(stopped);
  co_return base::Result<>();
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_daemon(argc, argv, "stoqd", run);
}
