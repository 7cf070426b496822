// stoq ping, connect, cert: a node's transport as a stranger sees it.
#include <fmt/format.h>
#include <stoq/v1/diagnostics.pb.h>

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

constexpr std::uint64_t kPingBytesMax = 60'000;

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
  TRY(const StoqTarget target, stoq_target(session, arguments));
  TRY(const auto count, number(arguments, "count", 5, 1, 1'000'000));
  TRY(const auto bytes, number(arguments, "size", 32, 0, kPingBytesMax));
  base::Duration interval = 200ms;
  if (arguments.has("interval")) {
    TRY(interval, parse_duration(arguments.text("interval"), "--interval"));
  }
  StoqProbe probe(session.loop().executor(), {.qlog_folder = arguments.text("qlog")});
  TRY(const auto reached,
      session.loop().run(probe.reach(target), session.timeout(kStoqConnectLimit), "the handshake"));
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
  TRY(StoqTarget target, stoq_target(session, arguments));
  StoqProbe probe(session.loop().executor(), {.qlog_folder = arguments.text("qlog")});
  std::vector<Handshake> all;
  for (const auto& [kind, early] :
       {std::pair{"full", false}, {"resumed", false}, {"0-RTT", true}}) {
    TRY(auto made, session.loop().run(shake(probe, target, kind, early),
                                      session.timeout(kStoqConnectLimit), "the handshake"));
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
  TRY(const StoqTarget target, stoq_target(session, arguments));
  StoqProbe probe(session.loop().executor(), {});
  TRY(const auto reached,
      session.loop().run(probe.reach(target), session.timeout(kStoqConnectLimit), "the handshake"));
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

constexpr Flag kPingFlags[] = {{"count", 'c', "NUMBER", "how often; default 5"},
                               {"interval", 'i', "DURATION", "between two; default 200ms"},
                               {"size", 's', "BYTES", "what is echoed; default 32"},
                               kStoqQlog};
constexpr Flag kConnectFlags[] = {kStoqQlog};
constexpr Flag kCertFlags[] = {{"pem", '\0', "", "print the certificate itself"}};
constexpr Example kPingExamples[] = {
    {"hm stoq ping", "the node of the context"},
    {"hm stoq ping -c 100 -i 10ms [2001:db8::1]:9292", ""},
    {"hm stoq ping qv36pltllc6zpgomkbz6janwfzc6tux7jqqkxoq3yqhoq424ot2a@[::1]:9292",
     "only if it is that node"}};
constexpr Example kConnectExamples[] = {{"hm stoq connect [::1]:9292", ""}};
constexpr Example kCertExamples[] = {
    {"hm stoq cert [::1]:9292", ""},
    {"hm stoq cert --pem [::1]:9292 | openssl x509 -text -noout", ""}};
}  // namespace

constinit const Command kStoqPing = {
    .path = "stoq ping",
    .summary = "whether a node answers over QUIC, and how fast",
    .description =
        "One connection, then one small call after the other. The node sees a stranger with an "
        "identity made for the occasion.\n\nWith NODE@ only that node is accepted; without it, "
        "whoever answers.",
    .arguments = kStoqTarget,
    .flags = kPingFlags,
    .examples = kPingExamples,
    .run = run_ping};
constinit const Command kStoqConnect = {
    .path = "stoq connect",
    .summary = "what a connection to a node costs: full, resumed, with early data",
    .description = "Connects three times, and asks one question each time.",
    .arguments = kStoqTarget,
    .flags = kConnectFlags,
    .examples = kConnectExamples,
    .run = run_connect};
constinit const Command kStoqCert = {.path = "stoq cert",
                                     .summary = "the certificate that a node shows",
                                     .description = "",
                                     .arguments = kStoqTarget,
                                     .flags = kCertFlags,
                                     .examples = kCertExamples,
                                     .run = run_cert};

}  // namespace cli
