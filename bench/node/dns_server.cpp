// dns_bench_server PORT SERVICES: the cluster's DNS server alone, with the zone that bench/node/dns
// writes for its peer.

#include <fmt/format.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <cstdlib>
#include <dns/dns_server.hpp>

namespace {

base::Task<> stop_at_signal(boost::asio::signal_set& signals, nexus::dns::DnsServer& server) {
  co_await signals.async_wait(base::use_result);
  co_await server.stop();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: dns_bench_server PORT SERVICES\n");
    return 2;
  }
  boost::asio::io_context context(1);
  const auto metrics = base::make_prometheus_metrics();
  nexus::dns::DnsServerOptions options;
  options.addresses = {"127.0.0.1"};
  options.port = static_cast<std::uint16_t>(std::atoi(argv[1]));
  auto server = nexus::dns::DnsServer::open(context.get_executor(), options, {}, *metrics);
  if (!server) {
    fmt::print(stderr, "{}\n", server.error().describe());
    return 1;
  }
  nexus::dns::ZoneInput zone;
  for (int i = 0; i < std::atoi(argv[2]); ++i) {
    zone.services.push_back(
        {"default",
         fmt::format("svc{}", i),
         {fmt::format("fd00::1:{:x}", i + 1), fmt::format("10.1.{}.{}", i / 250, i % 250 + 1)},
         {{"http", "tcp", 80}},
         {},
         ""});
  }
  (*server)->set_zone(nexus::dns::Zone::build(zone));
  boost::asio::signal_set signals(context, SIGTERM, SIGINT);
  boost::asio::co_spawn(context, stop_at_signal(signals, **server), boost::asio::detached);
  context.run();
  return 0;
}
