#include "node/nexus_config.hpp"

#include <nexus/placement.hpp>

namespace nexus {

using namespace base::config;
using namespace std::chrono_literals;

Layer config_layer() {
  Layer layer;
  layer.name = "nexus";
  layer.keys = {flag("all_features", false, "Turns on every part of the layer.")};
  layer.sections = {
      Section{"discovery",
              "Services found by name.",
              "enabled",
              {flag("enabled", true,
                    "Whether services get endpoints; off: DNS answers with no service.")}},
      Section{
          "dns_ct",
          "Names, and certificates with transparency.",
          "enabled",
          {flag("enabled", true, "Whether the DNS server runs."),
           unbuilt(flag("transparency", true, "Whether certificates enter the transparency log."),
                   "certificate transparency")}},
      Section{
          "dns",
          "The DNS server.",
          "listen",
          {endpoint("listen", "[::]:53", "Address and port; \"::\" is the node's own addresses."),
           duration("ttl", 5s, 1s, 24h, "Time that answers may be kept."),
           text_list("forward", {},
                     "Servers that other zones are forwarded to, such as \"[fd00::53]:53\"; none: "
                     "refused.")}},
      Section{"api",
              "The REST API.",
              "listen",
              {endpoint("listen", "[::]:8443",
                        "Address and port of HTTPS; \"::\" is the node's own addresses."),
               integer("connections_max", 1000, 1, 100'000, "Connections open at once.")}},
      Section{"orchestration",
              "Workloads.",
              "enabled",
              {flag("enabled", true, "Whether this node runs workloads."),
               integer("pods_max", 110, 1, kNodePodsMax,
                       "Pods placed on this node, which has 253 addresses for them.")}},
  };
  return layer;
}

}  // namespace nexus
