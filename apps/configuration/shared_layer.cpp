#include "configuration/shared_layer.hpp"

namespace apps {

using namespace base::config;

namespace {

Key names(std::string layer, std::vector<std::string> all) {
  Key key =
      text_list(layer, all, "Figures of the layer " + layer + " that the metrics page shows.");
  for (std::string& name : all) key.choices.push_back({std::move(name), {}});
  return key;
}

}  // namespace

Layer shared_layer() {
  Layer layer;
  layer.sections = {
      Section{"metrics",
              "The figures that each layer shows.",
              "",
              {names("stoq", {"throughput_gbps", "latency_p99", "chunk_dedup_ratio"}),
               names("nexus", {"service_discovery_latency", "dns_resolution_time",
                               "health_check_frequency"}),
               names("hypermesh",
                     {"container_start_time", "consensus_round_time", "scheduler_efficiency"})}},
      Section{"logging",
              "What the daemons tell.",
              "level",
              {text("level", "info",
                    "debug, info, warning or error; also by component: \"info,dns=debug\"."),
               choice("format", {{"human", {}}, {"json", {}}}, "human",
                      "For people or for programs.")}},
  };
  return layer;
}

}  // namespace apps
