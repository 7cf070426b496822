// stoq bench: how much a connection carries.
#include <fmt/format.h>
#include <stoq/v1/diagnostics.pb.h>
#include <sys/resource.h>

#include <base/config/units.hpp>
#include <stoq/rpc/diagnostics.hpp>

#include "commands/all.hpp"
#include "commands/stoq_probe.hpp"
#include "output/units.hpp"
#include "session/loop.hpp"
#include "session/session.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;
using base::Errc;
using base::Result;
using stoq::rpc::Client;

constexpr std::uint64_t kBenchBytes = 512ull << 20;
constexpr std::uint32_t kBenchMessageBytes = 256 * 1024;

struct Transfer {
  std::string direction;
  std::uint64_t bytes = 0;
  base::Duration took{}, cpu{}, rtt_before{}, rtt_after{};
  stoq::ConnectionStats stats;
};

base::Duration cpu_time() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

base::Task<Result<>> download(Client& client, std::uint64_t bytes) {
  CO_TRY(auto call, co_await client.open(stoq::kTransfer));
  stoq::v1::TransferRequest request;
  request.set_want_bytes(bytes);
  request.set_message_bytes(kBenchMessageBytes);
  CO_TRY_DO(co_await call.write(request));
  CO_TRY_DO(co_await call.end());
  std::uint64_t received = 0;
  for (;;) {
    CO_TRY(const auto reply, co_await call.read());
    if (!reply) break;
    received += reply->data().size();
  }
  if (received != bytes)
    co_return base::fail(Errc::DataLoss, fmt::format("{} of {} bytes came", received, bytes));
  co_return Result<>();
}

base::Task<Result<>> upload(Client& client, std::uint64_t bytes) {
  CO_TRY(auto call, co_await client.open(stoq::kTransfer));
  stoq::v1::TransferRequest request;
  for (std::uint64_t sent = 0; sent < bytes; sent += request.data().size()) {
    request.mutable_data()->resize(std::min<std::uint64_t>(kBenchMessageBytes, bytes - sent));
    CO_TRY_DO(co_await call.write(request));
  }
  CO_TRY_DO(co_await call.end());
  std::uint64_t arrived = 0;
  for (;;) {
    CO_TRY(const auto reply, co_await call.read());
    if (!reply) break;
    arrived = std::max<std::uint64_t>(arrived, reply->received_bytes());
  }
  if (arrived != bytes)
    co_return base::fail(Errc::DataLoss, fmt::format("{} of {} bytes arrived", arrived, bytes));
  co_return Result<>();
}

base::Task<Result<Transfer>> measure(StoqProbe& probe, StoqTarget target, std::string direction,
                                     std::uint64_t bytes) {
  CO_TRY(const auto reached, co_await probe.reach(target, stoq::rpc::Lane::Bulk));
  Client client(reached.connection, probe.clock());
  Transfer made{.direction = std::move(direction), .bytes = bytes};
  made.rtt_before = reached.connection->stats().rtt;
  const auto cpu = cpu_time();
  const auto begun = probe.clock().now();
  CO_TRY_DO(made.direction == "down" ? co_await download(client, bytes)
                                     : co_await upload(client, bytes));
  made.took = probe.clock().now() - begun;
  made.cpu = cpu_time() - cpu;
  made.stats = reached.connection->stats();
  reached.connection->close("done");
  co_return made;
}

double gigabits(const Transfer& transfer) {
  return static_cast<double>(transfer.bytes) * 8 / static_cast<double>(transfer.took.count());
}

Result<int> run_bench(Session& session, const Arguments& arguments) {
  TRY(const StoqTarget target, stoq_target(session, arguments));
  std::uint64_t bytes = kBenchBytes;
  if (arguments.has("size")) {
    TRY(bytes, base::config::parse_size(arguments.text("size")));
    if (bytes == 0) return base::fail(Errc::InvalidArgument, "--size 0: want at least one byte");
  }
  StoqProbe probe(session.loop().executor(),
                  {.bbr = arguments.has("bbr"), .qlog_folder = arguments.text("qlog")});
  std::vector<Transfer> all;
  for (const char* direction : {"down", "up"}) {
    if (arguments.has(direction == std::string_view("down") ? "up" : "down")) continue;
    TRY(auto made, session.loop().run(measure(probe, target, direction, bytes),
                                      session.timeout(5min), "the transfer"));
    all.push_back(std::move(made));
  }
  Json::array_t items;
  for (const Transfer& each : all) {
    items.push_back({{"direction", each.direction},
                     {"bytes", each.bytes},
                     {"seconds", std::chrono::duration<double>(each.took).count()},
                     {"gigabitsPerSecond", gigabits(each)},
                     {"cpuSeconds", std::chrono::duration<double>(each.cpu).count()},
                     {"resentBytes", each.stats.bytes_resent},
                     {"roundTripMilliseconds", millis(each.stats.rtt)}});
  }
  Document document;
  document.value = list_json("TransferList", items);
  document.value["cipher"] = all.front().stats.cipher;
  for (const Transfer& each : all) document.names.push_back(each.direction);
  document.table = [all](bool) {
    Table table(
        {"DIRECTION", "SIZE", "TOOK", "RATE", "CPU HERE", "SENT AGAIN", "ROUND TRIP", "PACKETS"});
    for (const Transfer& each : all) {
      table.row({each.direction, show_bytes(each.bytes), show_took(each.took),
                 fmt::format("{:.2f} Gbit/s", gigabits(each)), show_took(each.cpu),
                 show_bytes(each.stats.bytes_resent),
                 fmt::format("{} -> {}", show_millis(each.rtt_before), show_millis(each.stats.rtt)),
                 show_bytes(each.stats.packet_bytes)});
    }
    return table;
  };
  return session.show(document);
}

constexpr Flag kBenchFlags[] = {{"size", 's', "SIZE", "in each direction; default 512MiB"},
                                {"down", '\0', "", "only from the node"},
                                {"up", '\0', "", "only to the node"},
                                {"bbr", '\0', "", "congestion control BBR on our side"},
                                kStoqQlog};
constexpr Example kBenchExamples[] = {{"hm stoq bench --size 1GiB [::1]:9292", ""}};

}  // namespace

constinit const Command kStoqBench = {
    .path = "stoq bench",
    .summary = "how much a connection to a node carries",
    .description =
        "Carries bytes in both directions, one after the other. The node must allow "
        "it: transport.allow_bench in its stoq.yaml.",
    .arguments = kStoqTarget,
    .flags = kBenchFlags,
    .examples = kBenchExamples,
    .run = run_bench};

}  // namespace cli
