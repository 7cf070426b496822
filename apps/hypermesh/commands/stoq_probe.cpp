#include "commands/stoq_probe.hpp"

#include <fmt/format.h>
#include <netdb.h>

#include <cstring>
#include <stoq/identity/leaf_certificate.hpp>
#include <stoq/transport/quic/quic_transport.hpp>

#include "commands/objects.hpp"

namespace cli {

namespace {

using base::Result;

constexpr base::Duration kLeafLife = std::chrono::hours(1);

// Believes what the layer believes, and keeps what it saw.
class Witness final : public stoq::PeerVerifier {
 public:
  Result<stoq::NodeId> verify(std::span<const base::BytesView> chain, base::WallTime now) override {
    if (!chain.empty()) seen.assign(chain[0].begin(), chain[0].end());
    return verifier_.verify(chain, now);
  }
  base::Bytes seen;

 private:
  stoq::IdentityVerifier verifier_;
};

base::SecretBytes random_secret(base::Rng& rng) {
  base::Bytes bytes(32);
  rng.fill(bytes);
  return base::SecretBytes(std::move(bytes));
}

stoq::QuicTransportOptions transport_options(const StoqProbeOptions& options) {
  stoq::QuicTransportOptions made;
  if (options.bbr) made.session.congestion = stoq::quic::Congestion::Bbr;
  made.qlog_folder = options.qlog_folder;
  made.ipv4 = true;
  return made;
}

Result<stoq::Endpoint> look_up(const StoqTarget& target) {
  if (const auto literal = stoq::Endpoint::of(target.host, target.port)) return literal;
  addrinfo hints{}, *found = nullptr;
  hints.ai_family = AF_INET6;
  hints.ai_flags = AI_V4MAPPED;
  hints.ai_socktype = SOCK_DGRAM;
  if (const int failed = getaddrinfo(target.host.c_str(), nullptr, &hints, &found); failed != 0) {
    return base::fail(base::Errc::NotFound,
                      fmt::format("{}: {}", target.host, gai_strerror(failed)));
  }
  sockaddr_in6 address;
  std::memcpy(&address, found->ai_addr, sizeof address);
  freeaddrinfo(found);
  stoq::Endpoint made;
  std::memcpy(made.address.data(), &address.sin6_addr, made.address.size());
  made.port = target.port;
  return made;
}

}  // namespace

Result<StoqTarget> stoq_target(Session& session, const Arguments& arguments) {
  if (const std::string word = arguments.word(0); !word.empty()) return parse_stoq_target(word);
  TRY(Api * api, session.api());
  TRY(const Json node, api->get(own_path({"node"})));
  const std::string address = text_at(node, {"stoq"});
  if (address.empty()) {
    return std::unexpected(base::with_hint(
        base::make_error(
            base::Errc::NotFound,
            fmt::format("{} does not say where its transport listens", text_at(node, {"name"}))),
        "hm stoq " + std::string(arguments.command().path.substr(5)) + " [ADDRESS]:PORT"));
  }
  return parse_stoq_target(address);
}

double millis(base::Duration took) {
  return std::chrono::duration<double, std::milli>(took).count();
}
std::string show_millis(base::Duration took) {
  return fmt::format("{:.2f} ms", millis(took));
}

struct StoqProbe::Parts {
  Parts(base::Executor executor, const StoqProbeOptions& options)
      : transport(std::move(executor),
                  {.self = identity.id,
                   .certificates = &leaf,
                   .verifier = &witness,
                   .clock = &clock,
                   .secret = random_secret(rng)},
                  transport_options(options)) {}

  base::SystemClock clock;
  base::SystemRng rng;
  stoq::Identity identity = stoq::Identity::generate(rng);
  stoq::LeafRotation leaf{identity, rng, kLeafLife};
  Witness witness;
  stoq::QuicTransport transport;
};

StoqProbe::StoqProbe(base::Executor executor, StoqProbeOptions options)
    : parts_(std::make_unique<Parts>(std::move(executor), options)) {}
StoqProbe::~StoqProbe() = default;

base::Task<Result<StoqProbe::Reached>> StoqProbe::reach(StoqTarget target, stoq::rpc::Lane lane,
                                                        bool early) {
  CO_TRY(const auto endpoint, look_up(target));
  const auto begun = parts_->clock.now();
  CO_TRY(auto connection,
         co_await parts_->transport.connect(endpoint, target.node.value_or(stoq::NodeId()),
                                            {.alpn = std::string(stoq::rpc::alpn_of(lane)),
                                             .early = early,
                                             .any_peer = !target.node}));
  co_return Reached{std::move(connection), parts_->clock.now() - begun};
}

const base::Bytes& StoqProbe::certificate() const {
  return parts_->witness.seen;
}
const base::Clock& StoqProbe::clock() const {
  return parts_->clock;
}

}  // namespace cli
