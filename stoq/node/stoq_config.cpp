#include "node/stoq_config.hpp"

namespace stoq {

using namespace base::config;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kKiB = 1024, kMiB = kKiB * 1024, kGiB = kMiB * 1024, kTiB = kGiB * 1024;

// What of the layer's promises (public headers) is not in this build.
Section without_effect(Section section, const std::string& part) {
  for (Key& key : section.keys) key = unbuilt(std::move(key), part);
  return section;
}

void check(const Effective& effective, std::vector<Problem>& problems) {
  const auto& smallest = effective.at("stoq.chunking.min_size");
  const std::uint64_t min = effective.size("stoq.chunking.min_size"),
                      max = effective.size("stoq.chunking.max_size");
  if (min > max) {
    problems.push_back({Problem::Severity::Error, smallest.origin, "stoq.chunking.min_size",
                        "is " + std::to_string(min) + " bytes, above max_size (" +
                            std::to_string(max) + "); want min_size <= max_size"});
  }
}

}  // namespace

Layer config_layer() {
  Layer layer;
  layer.name = "stoq";
  layer.keys = {
      text("data_directory", "/var/lib/hypermesh", "Where stoqd alone keeps its identity."),
      text("metrics_listen", "",
           "[address]:port where stoqd alone shows its metrics over HTTP; empty: nowhere. Other "
           "daemons show them in their API."),
      unbuilt(choice("mode", {{"member", {}}, {"standalone", {}}}, "member",
                     "standalone: a content network of its own, without Nexus and HyperMesh."),
              "content network"),
      unbuilt(flag("all_features", false, "Turns on every part of the layer."), "content network"),
  };
  layer.sections = {
      Section{
          "transport",
          "QUIC over IPv6 between nodes.",
          "protocol",
          {choice("protocol", {{"quic", {}}}, "quic", "The transport protocol."),
           choice("tls_version", {{"1.3", {}}}, "1.3",
                  "TLS of the handshake; QUIC v1 knows no other."),
           integer("ip_version", 6, 6, 6,
                   "IPv6 only; an IPv4 peer is reached as a v4-mapped address."),
           flag("ipv4_peers", false, "Whether IPv4 peers are reached, as v4-mapped addresses."),
           endpoint("bind", "[::]:9292", "Address and UDP port to listen on."),
           integer("max_connections", 10'000, 1, 1'000'000,
                   "Connections open at once; more are refused."),
           duration("certificate_rotation", 24h, 1min, 8760h,
                    "Life of a leaf certificate; renewed when two thirds are over."),
           text("certificate_path", "",
                "Folder of injected certificates; empty: our own identity."),
           duration("key_rotation_interval", 24h, 1min, 8760h, "Life of traffic and ticket keys."),
           choice("congestion", {{"cubic", {}}, {"bbr", {}}}, "cubic", "Congestion control."),
           duration("idle_timeout", 30s, 1s, 1h, "Silence after which a connection is over."),
           integer("cores", 1, 1, 64, "Threads that carry connections, each with a socket."),
           flag("allow_bench", false,
                "Whether whoever connects may measure how much the node carries (hm stoq bench)."),
           text("qlog_path", "", "Folder for a qlog file of each connection; empty: none.")}},
      without_effect(
          Section{
              "routing",
              "Paths over the overlay.",
              "algorithm",
              {choice("algorithm", {{"ml_enhanced_dijkstra", {"ml_enhanced"}}, {"dijkstra", {}}},
                      "ml_enhanced_dijkstra", "How paths are chosen."),
               integer("matrix_size", 10'000, 2, 100'000, "Nodes the routing matrix holds."),
               duration("update_interval", 100ms, 10ms, 1h,
                        "Time between refreshes of the matrix.")}},
          "overlay routing"),
      without_effect(Section{"chunking",
                             "Content-defined chunks.",
                             "algorithm",
                             {size("min_size", 4 * kKiB, 64, 64 * kMiB, "Smallest chunk."),
                              size("max_size", kMiB, kKiB, 256 * kMiB, "Largest chunk."),
                              choice("algorithm", {{"content_aware", {"fastcdc"}}}, "content_aware",
                                     "Where chunks are cut."),
                              choice("deduplication", {{"sha256_rolling", {"sha256"}}},
                                     "sha256_rolling", "How equal chunks are found.")}},
                     "chunking"),
      without_effect(Section{"edge",
                             "Content cached for others.",
                             "enabled",
                             {flag("enabled", true, "Whether this node caches content."),
                              size("cache_size", 10 * kGiB, 0, 1024 * kTiB,
                                   "Bytes kept on disk; 0 turns the cache off."),
                              choice("eviction_policy", {{"lru", {}}, {"s3fifo", {"s3-fifo"}}},
                                     "lru", "What goes first."),
                              duration("sync_interval", 10s, 100ms, 24h,
                                       "Time between catalogue exchanges.")}},
                     "edge network"),
      without_effect(
          Section{"cdn",
                  "A content network of its own.",
                  "enabled",
                  {flag("enabled", false, "Whether stoqd serves content."),
                   integer("edge_nodes", 0, 0, 100'000, "Edge nodes expected."),
                   size("cache_size", 10 * kGiB, 0, 1024 * kTiB, "Bytes kept on disk by each.")}},
          "content network"),
  };
  layer.rules = check;
  return layer;
}

}  // namespace stoq
