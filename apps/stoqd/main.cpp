// STOQ alone.

#include <stoq/node/node.hpp>

#include "daemon/daemon.hpp"

namespace {

base::Task<base::Result<>> run(apps::DaemonContext daemon, base::Task<> stopped) {
  stoq::NodeConfig config;
  config.identity_path = daemon.config.text("stoq.data_directory") + "/identity.key";
  CO_TRY(auto node, stoq::NodeBuilder(daemon.executor, std::move(config)).build());
  daemon.log.warning("no transport in this build reaches other machines",
                     {{"transport", "memory"}});
  daemon.log.info("ready", {{"node", node->id().text()}});
  co_await std::move(stopped);
  co_return base::Result<>();
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_daemon(argc, argv, "stoqd", run);
}
