#include "node/node_config.hpp"

namespace stoq {

Endpoint listen_address(const base::config::Endpoint& bind) {
  const auto listen = Endpoint::of(bind.address, bind.port);
  BASE_ASSERT(listen, "the loader accepts addresses only");
  return *listen;
}

std::string reached_at(const Endpoint& listening, std::string_view own_address) {
  if (listening.address != Endpoint{}.address) return listening.text();
  const auto own = Endpoint::of(own_address, listening.port);
  return own ? own->text() : listening.text();
}

NodeConfig node_config(const base::config::Effective& config, std::string identity_path) {
  return {.identity_path = std::move(identity_path),
          .listen = listen_address(config.endpoint("stoq.transport.bind")),
          .ipv4_peers = config.flag("stoq.transport.ipv4_peers"),
          .connections_max = config.size("stoq.transport.max_connections"),
          .certificate_life = config.duration("stoq.transport.certificate_rotation"),
          .key_life = config.duration("stoq.transport.key_rotation_interval"),
          .idle_timeout = config.duration("stoq.transport.idle_timeout"),
          .certificate_path = config.text("stoq.transport.certificate_path"),
          .qlog_path = config.text("stoq.transport.qlog_path"),
          .allow_bench = config.flag("stoq.transport.allow_bench"),
          .bbr = config.text("stoq.transport.congestion") == "bbr",
          .cores = static_cast<unsigned>(config.integer("stoq.transport.cores"))};
}

}  // namespace stoq
