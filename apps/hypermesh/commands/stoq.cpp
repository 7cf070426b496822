// stoq ping, connect, cert, bench: a node's transport as a stranger sees it.
#include <fmt/format.h>
#include <stoq/v1/diagnostics.pb.h>
#include <sys/resource.h>

#include <base/config/units.hpp>
#include <charconv>
#include <stoq/identity/leaf_certificate.hpp>
#include <stoq/rpc/diagnostics.hpp>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "commands/stoq_probe.hpp"
#include "output/units.hpp"
#include "session/loop.hpp"

namespace cli {
namespace {

using namespace std::chrono_literals;
using base::Errc;
using base::Result;
using stoq::rpc::Client;

constexpr base::Duration kConnectLimit = 15s;
constexpr std::uint64_t kPingBytesMax = 60'000;
constexpr std::uint64_t kBenchBytes = 512ull << 20;
constexpr std::uint32_t kBenchMessageBytes = 256 * 1024;

double millis(base::Duration took) {
  return std::chrono::duration<double, std::milli>(took).count();
}
std::string show_millis(base::Duration took) {
  return fmt::format("{:.2f} ms", millis(took));
}

// The word, or the node of the context.
Result<StoqTarget> target_of(Session& session, const Arguments& arguments) {
  if (const std::string word = arguments.word(0); !word.empty()) return parse_stoq_target(word);
  TRY(Api * api, session.api());
  TRY(const Json node, api->get(own_path({"node"})));
  const std::string address = text_at(node, {"stoq"});
  if (address.empty()) {
    return std::unexpected(base::with_hint(
        base::make_error(Errc::NotFound, fmt::format("{} does not say where its transport listens",
                                                     text_at(node, {"name"}))),
        "hm stoq " + std::string(arguments.command().path.substr(5)) + " [ADDRESS]:PORT"));
  }
  return parse_stoq_target(address);
}

Result<std::uint64_t> number(const Arguments& arguments, std::string_view flag,
                             std::uint64_t otherwise, std::uint64_t least, std::uint64_t most) {
  const auto text = arguments.value(flag);
  if (!text) return otherwise;
  std::uint64_t value = 0;
  const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (failed != std::errc() || end != text->data() + text->size() || value < least || value > most)
    return base::fail(Errc::InvalidArgument, fmt::format("--{} {}: want a number from {} to {}",
                                                         flag, *text, least, most));
  return value;
}

std::string name_of(const stoq::Connection& connection) {
  return connection.peer() ? connection.peer()->text() : "";
}

// --- ping ---

base::Task<Result<base::Duration>> ping_once(Client& client, const base::Clock& clock,
                                             const std::string& payload) {
  stoq::v1::PingRequest request;
  request.set_payload(payload);
  const auto begun = clock.now();
  CO_TRY(const auto reply, co_await client.call(stoq::kPing, request, {.timeout = 5s}));
  if (reply.payload() != payload)
    co_return base::fail(Errc::DataLoss, "the answer is not what was asked");
  co_return clock.now() - begun;
}

Result<int> run_ping(Session& session, const Arguments& arguments) {
  TRY(const StoqTarget target, target_of(session, arguments));
  TRY(const auto count, number(arguments, "count", 5, 1, 1'000'000));
  TRY(const auto bytes, number(arguments, "size", 32, 0, kPingBytesMax));
  base::Duration interval = 200ms;
  if (arguments.has("interval")) {
    TRY(interval, parse_duration(arguments.text("interval"), "--interval"));
  }
  StoqProbe probe(session.loop().executor(), {.qlog_folder = arguments.text("qlog")});
  TRY(const auto reached,
      session.loop().run(probe.reach(target), session.timeout(kConnectLimit), "the handshake"));
  const std::string node = name_of(*reached.connection);
  const bool for_people = !session.format().for_programs();
  Console& console = session.console();
  if (for_people)
    console.out(fmt::format("node {}   handshake {}\n", node, show_millis(reached.took)));

  Client client(reached.connection, probe.clock());
  const std::string payload(bytes, 'x');
  std::vector<base::Duration> took;
  Json::array_t items;
  std::uint64_t sent = 0;
  std::optional<base::Error> failed;
  while (sent < count && !interrupted()) {
    if (sent > 0 && !session.loop().pause(interval)) break;
    ++sent;
    const auto once = session.loop().run(ping_once(client, probe.clock(), payload));
    if (!once) {
      if (interrupted()) break;
      failed = once.error();
      items.push_back({{"sequence", sent}, {"error", once.error().message}});
      if (for_people) console.out(fmt::format("{:>4}  {}\n", sent, once.error().describe()));
      // The connection is gone: so is every answer.
      if (once.error().code != Errc::TimedOut) break;
      continue;
    }
    took.push_back(*once);
    items.push_back({{"sequence", sent}, {"milliseconds", millis(*once)}});
    if (for_people) console.out(fmt::format("{:>4}  {}\n", sent, show_millis(*once)));
    console.flush();
  }
  reached.connection->close("done");
  if (took.empty() && failed) return std::unexpected(*failed);
  if (took.empty()) return base::fail(Errc::Cancelled, "interrupted");
  const RoundTrips trips = summarize(took);
  if (for_people) {
    console.out(fmt::format("{} asked, {} answered   shortest {}  median {}  p99 {}  longest {}\n",
                            sent, took.size(), show_millis(trips.shortest),
                            show_millis(trips.median), show_millis(trips.p99),
                            show_millis(trips.longest)));
    return took.size() == sent ? 0 : 1;
  }
  Document document;
  document.value = list_json("PingList", items);
  document.value["node"] = node;
  document.value["handshakeMilliseconds"] = millis(reached.took);
  document.value["medianMilliseconds"] = millis(trips.median);
  document.value["p99Milliseconds"] = millis(trips.p99);
  document.names = {"node/" + node};
  TRY_DO(session.show(document));
  return took.size() == sent ? 0 : 1;
}

// --- connect ---

struct Handshake {
  std::string kind;
  base::Duration usable, answered;
  stoq::ConnectionStats stats;
  std::string alpn;
  std::size_t datagram_bytes = 0;
  std::optional<stoq::NodeId> node;
};

base::Task<Result<Handshake>> shake(StoqProbe& probe, StoqTarget target, std::string kind,
                                    bool early) {
  const auto begun = probe.clock().now();
  CO_TRY(const auto reached, co_await probe.reach(target, stoq::rpc::Lane::Control, early));
  Client client(reached.connection, probe.clock());
  CO_TRY_DO(co_await ping_once(client, probe.clock(), "hello"));
  Handshake made{std::move(kind),
                 reached.took,
                 probe.clock().now() - begun,
                 reached.connection->stats(),
                 reached.connection->alpn(),
                 reached.connection->datagram_bytes_max()};
  made.stats.early_accepted &= early;
  made.node = reached.connection->peer();
  // The next connection resumes with the ticket, which comes behind the first answer.
  CO_TRY_DO(co_await ping_once(client, probe.clock(), "and a ticket, please"));
  reached.connection->close("done");
  co_return made;
}

Result<int> run_connect(Session& session, const Arguments& arguments) {
  TRY(StoqTarget target, target_of(session, arguments));
  StoqProbe probe(session.loop().executor(), {.qlog_folder = arguments.text("qlog")});
  std::vector<Handshake> all;
  for (const auto& [kind, early] :
       {std::pair{"full", false}, {"resumed", false}, {"0-RTT", true}}) {
    TRY(auto made, session.loop().run(shake(probe, target, kind, early),
                                      session.timeout(kConnectLimit), "the handshake"));
    // Only a node that is known is come back to with its ticket.
    target.node = made.node;
    all.push_back(std::move(made));
  }
  Json::array_t items;
  for (const Handshake& each : all) {
    items.push_back({{"kind", each.kind},
                     {"usableMilliseconds", millis(each.usable)},
                     {"firstAnswerMilliseconds", millis(each.answered)},
                     {"resumed", each.stats.resumed},
                     {"early", each.stats.early_accepted}});
  }
  const Handshake& last = all.back();
  Document document;
  document.value = list_json("HandshakeList", items);
  document.value["node"] = target.node->text();
  document.value["cipher"] = last.stats.cipher;
  document.value["alpn"] = last.alpn;
  document.value["roundTripMilliseconds"] = millis(last.stats.rtt);
  document.value["packetBytes"] = last.stats.packet_bytes;
  document.value["datagramBytes"] = last.datagram_bytes;
  document.names = {"node/" + target.node->text()};
  document.table = [all](bool) {
    Table table({"HANDSHAKE", "USABLE AFTER", "FIRST ANSWER", "RESUMED", "EARLY DATA"});
    for (const Handshake& each : all) {
      table.row({each.kind, show_millis(each.usable), show_millis(each.answered),
                 each.stats.resumed ? "yes" : "no", each.stats.early_accepted ? "accepted" : "-"});
    }
    return table;
  };
  document.after =
      fmt::format("node {}\n{} over QUIC v1, TLS 1.3 with {}, packets of {} bytes, round trip {}\n",
                  target.node->text(), last.alpn, last.stats.cipher, last.stats.packet_bytes,
                  show_millis(last.stats.rtt));
  return session.show(document);
}

// --- cert ---

Result<int> run_cert(Session& session, const Arguments& arguments) {
  TRY(const StoqTarget target, target_of(session, arguments));
  StoqProbe probe(session.loop().executor(), {});
  TRY(const auto reached,
      session.loop().run(probe.reach(target), session.timeout(kConnectLimit), "the handshake"));
  reached.connection->close("done");
  const base::Bytes& der = probe.certificate();
  if (arguments.has("pem")) {
    const std::string text = base::to_base64(der);
    std::string pem = "-----BEGIN CERTIFICATE-----\n";
    for (std::size_t at = 0; at < text.size(); at += 64) pem += text.substr(at, 64) + "\n";
    session.console().out(pem + "-----END CERTIFICATE-----\n");
    return 0;
  }
  TRY(const auto leaf, stoq::IdentityVerifier::examine(der));
  const auto now = session.clock().wall();
  const std::string fingerprint = base::to_hex(base::sha256(der));
  Document document;
  document.value = {{"apiVersion", kApiVersion},
                    {"kind", "Certificate"},
                    {"node", leaf.node.text()},
                    {"notBefore", base::to_rfc3339(leaf.from)},
                    {"notAfter", base::to_rfc3339(leaf.until)},
                    {"sha256", fingerprint},
                    {"der", base::to_base64(der)}};
  document.names = {"node/" + leaf.node.text()};
  document.table = [leaf, fingerprint, now](bool wide) {
    std::vector<std::string> heads = {"NODE", "VALID FROM", "VALID UNTIL", "LEFT"};
    std::vector<Cell> row = {leaf.node.text(), base::to_rfc3339(leaf.from),
                             base::to_rfc3339(leaf.until), show_took(leaf.until - now)};
    if (wide) {
      heads.emplace_back("SHA-256");
      row.emplace_back(fingerprint);
    }
    Table table(heads);
    table.row(std::move(row));
    return table;
  };
  document.after = target.node ? "It proves the node that was asked for.\n"
                               : "Whoever answers was taken. To be sure of it next time: hm stoq "
                                 "cert " +
                                     leaf.node.text() + "@" + arguments.word(0) + "\n";
  return session.show(document);
}

// --- bench ---

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
  TRY(const StoqTarget target, target_of(session, arguments));
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

constexpr Argument kTarget[] = {{.name = "[NODE@]HOST[:PORT]", .required = false}};
constexpr Flag kQlog = {"qlog", '\0', "FOLDER",         "write a qlog file of each connection",
                        false,  {},   Completes::Folder};
constexpr Flag kPingFlags[] = {{"count", 'c', "NUMBER", "how often; default 5"},
                               {"interval", 'i', "DURATION", "between two; default 200ms"},
                               {"size", 's', "BYTES", "what is echoed; default 32"},
                               kQlog};
constexpr Flag kConnectFlags[] = {kQlog};
constexpr Flag kCertFlags[] = {{"pem", '\0', "", "print the certificate itself"}};
constexpr Flag kBenchFlags[] = {{"size", 's', "SIZE", "in each direction; default 512MiB"},
                                {"down", '\0', "", "only from the node"},
                                {"up", '\0', "", "only to the node"},
                                {"bbr", '\0', "", "congestion control BBR on our side"},
                                kQlog};
constexpr Example kPingExamples[] = {
    {"hm stoq ping", "the node of the context"},
    {"hm stoq ping -c 100 -i 10ms [2001:db8::1]:9292", ""},
    {"hm stoq ping qv36pltllc6zpgomkbz6janwfzc6tux7jqqkxoq3yqhoq424ot2a@[::1]:9292",
     "only if it is that node"}};
constexpr Example kConnectExamples[] = {{"hm stoq connect [::1]:9292", ""}};
constexpr Example kCertExamples[] = {
    {"hm stoq cert [::1]:9292", ""},
    {"hm stoq cert --pem [::1]:9292 | openssl x509 -text -noout", ""}};
constexpr Example kBenchExamples[] = {{"hm stoq bench --size 1GiB [::1]:9292", ""}};

}  // namespace

constinit const Command kStoqPing = {
    .path = "stoq ping",
    .summary = "whether a node answers over QUIC, and how fast",
    .description =
        "One connection, then one small call after the other. The node sees a stranger with an "
        "identity made for the occasion.\n\nWith NODE@ only that node is accepted; without it, "
        "whoever answers.",
    .arguments = kTarget,
    .flags = kPingFlags,
    .examples = kPingExamples,
    .run = run_ping};
constinit const Command kStoqConnect = {
    .path = "stoq connect",
    .summary = "what a connection to a node costs: full, resumed, with early data",
    .description = "Connects three times, and asks one question each time.",
    .arguments = kTarget,
    .flags = kConnectFlags,
    .examples = kConnectExamples,
    .run = run_connect};
constinit const Command kStoqCert = {.path = "stoq cert",
                                     .summary = "the certificate that a node shows",
                                     .description = "",
                                     .arguments = kTarget,
                                     .flags = kCertFlags,
                                     .examples = kCertExamples,
                                     .run = run_cert};
constinit const Command kStoqBench = {
    .path = "stoq bench",
    .summary = "how much a connection to a node carries",
    .description =
        "Carries bytes in both directions, one after the other. The node must allow "
        "it: transport.allow_bench in its stoq.yaml.",
    .arguments = kTarget,
    .flags = kBenchFlags,
    .examples = kBenchExamples,
    .run = run_bench};

}  // namespace cli
