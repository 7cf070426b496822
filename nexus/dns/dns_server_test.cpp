// The server over real sockets, asked by dig: what others wrote is the oracle.
#include "dns/dns_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>
#include <cstdio>
#include <fstream>
#include <thread>

namespace nexus::dns {
namespace {

using testing::HasSubstr;

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return text;
  char buffer[4096];
  while (const std::size_t size = fread(buffer, 1, sizeof buffer, pipe)) text.append(buffer, size);
  pclose(pipe);
  return text;
}

class DnsServerTest : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("command -v dig >/dev/null") != 0)
      GTEST_SKIP() << "dig (package dnsutils) is not installed";
    runner_ = std::thread([this] { context_.run(); });
  }
  void TearDown() override {
    for (auto& server : servers_)
      boost::asio::co_spawn(context_, server->stop(), boost::asio::use_future).get();
    guard_.reset();
    if (runner_.joinable()) runner_.join();
  }

  DnsServer& serve(ZoneInput input, std::vector<std::string> forward = {}) {
    DnsServerOptions options;
    options.addresses = {"::1", "127.0.0.1"};
    options.port = 0;
    options.forward = std::move(forward);
    // The second address must get the port that the first one drew; another program may have it.
    for (int attempt = 0; attempt < 20; ++attempt) {
      auto opened =
          boost::asio::co_spawn(
              context_,
              [&]() -> base::Task<base::Result<std::unique_ptr<DnsServer>>> {
                co_return DnsServer::open(context_.get_executor(), options, {}, *metrics_);
              },
              boost::asio::use_future)
              .get();
      if (!opened) continue;
      servers_.push_back(std::move(*opened));
      servers_.back()->set_zone(Zone::build(input));
      return *servers_.back();
    }
    throw std::runtime_error("no free port");
  }

  std::string dig(const DnsServer& server, const std::string& what, const std::string& at = "::1") {
    return output_of("dig +time=5 +tries=1 @" + at + " -p " + std::to_string(server.port()) + " " +
                     what + " 2>&1");
  }

  static ZoneInput example(int endpoints = 2) {
    ZoneInput input;
    ServiceName db{"default", "db", {}, {}, {}, ""};
    for (int i = 0; i < endpoints; ++i)
      db.endpoints.push_back({"db-" + std::to_string(i), {"fd00::" + std::to_string(i + 1)}, {}});
    input.services = {{"default", "web", {"fd00::20", "10.0.0.20"}, {{"http", "tcp", 80}}, {}, ""},
                      db};
    return input;
  }

  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_{
      context_.get_executor()};
  std::unique_ptr<base::Metrics> metrics_ = base::make_prometheus_metrics();
  std::vector<std::unique_ptr<DnsServer>> servers_;
  std::thread runner_;
};

TEST_F(DnsServerTest, DigUnderstandsEveryKindOfAnswer) {
  const auto& server = serve(example());
  for (const char* transport : {"", "+tcp "}) {
    for (const char* at : {"::1", "127.0.0.1"}) {
      EXPECT_EQ(dig(server, transport + std::string("+short AAAA web.default.mesh"), at),
                "fd00::20\n")
          << transport << at;
    }
    EXPECT_THAT(dig(server, transport + std::string("SRV _http._tcp.web.default.mesh")),
                HasSubstr("0 10 80 web.default.mesh."));
    EXPECT_THAT(dig(server, transport + std::string("AAAA nothing.default.mesh")),
                testing::AllOf(HasSubstr("status: NXDOMAIN"), HasSubstr("SOA\tns.mesh."),
                               HasSubstr("flags: qr aa")));
    EXPECT_THAT(dig(server, transport + std::string("A example.org")),
                HasSubstr("status: REFUSED"));
    EXPECT_THAT(dig(server, transport + std::string("+edns=7 +noednsneg A web.default.mesh")),
                HasSubstr("status: BADVERS"));
  }
}

TEST_F(DnsServerTest, LargeAnswersComeOverTcpByThemselves) {
  const auto& server = serve(example(120));
  const std::string answer = dig(server, "AAAA db.default.mesh");
  EXPECT_THAT(answer, HasSubstr("ANSWER: 120"));
  EXPECT_THAT(answer, HasSubstr("Truncated, retrying in TCP mode"));
}

TEST_F(DnsServerTest, AChangedZoneAnswersAtOnce) {
  auto& server = serve(example());
  ZoneInput changed = example();
  changed.services[0].cluster_addresses = {"fd00::99"};
  server.set_zone(Zone::build(changed));
  EXPECT_EQ(dig(server, "+short AAAA web.default.mesh"), "fd00::99\n");
}

TEST_F(DnsServerTest, OtherNamesAreForwardedAndFailuresSaidSo) {
  ZoneInput other;
  other.zone = "example";
  other.server = "ns.example";
  other.services = {{"org", "www", {"192.0.2.7"}, {}, {}, ""}};
  const auto& upstream = serve(other);
  const auto& server = serve(example(), {"[::1]:" + std::to_string(upstream.port())});
  EXPECT_EQ(dig(server, "+short A www.org.example"), "192.0.2.7\n");
  EXPECT_EQ(dig(server, "+short +tcp A www.org.example"), "192.0.2.7\n");
  EXPECT_EQ(dig(server, "+short A www.org.example"), "192.0.2.7\n");  // From the cache.
  const auto& lonely = serve(example(), {"[::1]:1"});
  EXPECT_THAT(dig(lonely, "A www.org.example"), HasSubstr("status: SERVFAIL"));
  // Recursion is offered exactly where there is somebody to ask (RA).
  for (const char* transport : {"", "+tcp "}) {
    const std::string ours = transport + std::string("A web.default.mesh");
    EXPECT_THAT(dig(server, ours), HasSubstr("flags: qr aa rd ra;"));
    EXPECT_THAT(dig(upstream, ours), HasSubstr("flags: qr rd;"));
    EXPECT_THAT(dig(lonely, transport + std::string("A www.org.example")),
                HasSubstr("flags: qr rd ra;"));
  }
}

TEST_F(DnsServerTest, AnAliasComesWithWhatItLeadsTo) {
  ZoneInput other;
  other.zone = "example";
  other.server = "ns.example";
  other.services = {{"org", "www", {"192.0.2.7", "2001:db8::7"}, {}, {}, ""}};
  const auto& upstream = serve(other);
  ZoneInput input = example();
  input.services.push_back({"default", "outside", {}, {}, {}, "www.org.example"});
  input.services.push_back({"default", "inside", {}, {}, {}, "web.default.mesh"});
  const auto& server = serve(input, {"[::1]:" + std::to_string(upstream.port())});
  for (const char* transport : {"", "+tcp ", "+noedns "}) {
    EXPECT_EQ(dig(server, transport + std::string("+short AAAA outside.default.mesh")),
              "www.org.example.\n2001:db8::7\n");
    EXPECT_EQ(dig(server, transport + std::string("+short A inside.default.mesh")),
              "web.default.mesh.\n10.0.0.20\n");
    EXPECT_EQ(dig(server, transport + std::string("+short CNAME outside.default.mesh")),
              "www.org.example.\n");
    EXPECT_EQ(dig(server, transport + std::string("+short +norecurse A outside.default.mesh")),
              "www.org.example.\n");
  }
  const auto& lonely = serve(input);
  EXPECT_EQ(dig(lonely, "+short A outside.default.mesh"), "www.org.example.\n");
}

// dnsperf is the judge of a burst: nothing lost, every code as it must be.
TEST_F(DnsServerTest, DnsperfLosesNothing) {
  if (std::system("command -v dnsperf >/dev/null") != 0) GTEST_SKIP() << "dnsperf is not installed";
  const auto& server = serve(example());
  const std::string questions =
      testing::TempDir() + "hypermesh-dnsperf-" + std::to_string(getpid());
  std::ofstream(questions)
      << "web.default.mesh AAAA\nweb.default.mesh A\n_http._tcp.web.default.mesh SRV\n"
         "web.default.mesh TXT\nno.default.mesh AAAA\n";
  for (const char* mode : {"udp", "tcp"}) {
    const std::string report =
        output_of("dnsperf -m " + std::string(mode) + " -s ::1 -p " +
                  std::to_string(server.port()) + " -d " + questions + " -n 200 -c 4 -q 50 2>&1");
    EXPECT_THAT(report, HasSubstr("Queries lost:         0")) << mode;
    EXPECT_THAT(report, HasSubstr("Queries completed:    1000")) << mode << report;
    EXPECT_THAT(report, HasSubstr("NOERROR 800 (80.00%), NXDOMAIN 200 (20.00%)")) << mode << report;
  }
  std::remove(questions.c_str());
  EXPECT_THAT(metrics_->expose(), HasSubstr("nexus_dns_resolution_time_seconds_count"));
}

}  // namespace
}  // namespace nexus::dns
