#include "dns/dns_server.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <unistd.h>

#include <array>
#include <base/async/task_scope.hpp>
#include <base/async/timeout.hpp>
#include <base/config/units.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <map>

#include "dns/answer.hpp"
#include "dns/forwarder.hpp"
#include "dns/udp_responder.hpp"

namespace nexus::dns {

namespace asio = boost::asio;
using asio::ip::tcp;
using base::Bytes;
using base::Errc;
using base::fail;
using base::Result;

namespace {

constexpr int kReceiveBufferBytes = 1 << 20;
constexpr base::Duration kAcceptPause = std::chrono::milliseconds(100);

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t bytes = 0;
};

Result<SocketAddress> socket_address(const std::string& address, std::uint16_t port) {
  SocketAddress result;
  auto* six = reinterpret_cast<sockaddr_in6*>(&result.storage);
  auto* four = reinterpret_cast<sockaddr_in*>(&result.storage);
  if (inet_pton(AF_INET6, address.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    result.bytes = sizeof *six;
  } else if (inet_pton(AF_INET, address.c_str(), &four->sin_addr) == 1) {
    four->sin_family = AF_INET;
    four->sin_port = htons(port);
    result.bytes = sizeof *four;
  } else {
    return fail(Errc::InvalidArgument,
                fmt::format("\"{}\" is not an address that a DNS server can listen on", address));
  }
  return result;
}

Result<int> bind_udp(const std::string& address, std::uint16_t port) {
  TRY(const SocketAddress to, socket_address(address, port));
  const int fd = socket(to.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return base::fail_errno(errno, "a UDP socket");
  const int on = 1;
  if (to.storage.ss_family == AF_INET6) setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBufferBytes, sizeof kReceiveBufferBytes);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&to.storage), to.bytes) != 0) {
    const int error = errno;
    close(fd);
    return base::fail_errno(error, fmt::format("DNS on {} port {} (UDP)", address, port));
  }
  return fd;
}

class AsioDnsServer final : public DnsServer {
 public:
  AsioDnsServer(base::Executor executor, DnsServerOptions options, base::Log log,
                base::Metrics& metrics)
      : executor_(executor),
        options_(std::move(options)),
        log_(std::move(log)),
        scope_(executor),
        answered_(metrics.counter("nexus_dns_answers_total", "DNS questions answered over UDP.")),
        resolution_(metrics.histogram(
            "nexus_dns_resolution_time_seconds",
            "Time from a question's arrival to its answer; over UDP the mean of a batch.", {},
            {.00001, .00002, .00005, .0001, .0002, .0005, .001, .005, .02, .1, .5, 2})) {}

  ~AsioDnsServer() override { responders_.clear(); }

  Result<> start() {
    std::vector<Forwarder::Server> servers;
    for (const std::string& server : options_.forward) {
      TRY(const auto endpoint, base::config::parse_endpoint(server));
      servers.push_back({endpoint.address, endpoint.port});
    }
    if (!servers.empty()) {
      forwarder_ = std::make_unique<Forwarder>(std::move(servers), options_.forwards_max,
                                               options_.cache_entries_max, clock_, rng_);
    }
    port_ = options_.port;
    for (const std::string& address : options_.addresses) {
      TRY(const int fd, bind_udp(address, port_));
      sockaddr_in6 bound{};
      socklen_t bytes = sizeof bound;
      getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &bytes);
      port_ = ntohs(bound.sin6_port);  // The port lies at the same place for both families.
      UdpResponder::Forward forward;
      if (forwarder_) {
        forward = [this](Bytes question, UdpPeer from) {
          asio::post(executor_, [this, question = std::move(question), from]() mutable {
            if (!stopping_) scope_.spawn(forward_udp(std::move(question), from));
          });
        };
      }
      responders_.push_back(
          std::make_unique<UdpResponder>(fd, zone_, std::move(forward), answered_, resolution_));
      TRY_DO(listen_tcp(address));
    }
    // Only now, when nothing can fail any more, does anything run on the executor.
    for (tcp::acceptor& acceptor : acceptors_) scope_.spawn(accept(std::move(acceptor)));
    acceptors_.clear();
    return {};
  }

  void set_zone(std::shared_ptr<const Zone> zone) override {
    if (zone->skipped() > 0)
      log_.warning("names were left out of the zone", {{"count", zone->skipped()}});
    zone_.set(std::move(zone));
  }
  std::shared_ptr<const Zone> zone() const override { return zone_.get(); }
  std::uint16_t port() const override { return port_; }

  base::Task<> stop() override {
    stopping_ = true;
    responders_.clear();
    // What the threads posted before they ended runs first and finds us stopping.
    co_await asio::post(executor_, asio::use_awaitable);
    scope_.cancel();
    co_await scope_.join();
  }

 private:
  Result<> listen_tcp(const std::string& address) {
    boost::system::error_code error;
    const tcp::endpoint at(asio::ip::make_address(address, error), port_);
    tcp::acceptor acceptor(executor_);
    if (!error) acceptor.open(at.protocol(), error);
    if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error && at.address().is_v6()) acceptor.set_option(asio::ip::v6_only(true), error);
    if (!error) acceptor.bind(at, error);
    if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
    if (error)
      return std::unexpected(
          base::from_system_error(error, fmt::format("DNS on {} port {} (TCP)", address, port_)));
    acceptors_.push_back(std::move(acceptor));
    return {};
  }

  base::Task<> accept(tcp::acceptor acceptor) {
    for (;;) {
      auto [error, socket] = co_await acceptor.async_accept(base::use_result);
      if (error == asio::error::operation_aborted) co_return;
      if (error) {  // Out of descriptors, say: later there may be some.
        co_await base::sleep_for(kAcceptPause);
        continue;
      }
      const auto peer = socket.remote_endpoint(error);
      // Whoever is one too many finds the connection closed at once.
      if (error || connections_ >= options_.tcp_connections_max) continue;
      if (clients_[peer.address()] >= options_.tcp_connections_per_client_max) continue;
      scope_.spawn(serve(std::move(socket), peer.address()));
    }
  }

  // Counts a connection while it lasts.
  class Counted {
   public:
    Counted(AsioDnsServer& server, asio::ip::address client)
        : server_(server), client_(std::move(client)) {
      ++server_.connections_;
      ++server_.clients_[client_];
    }
    ~Counted() {
      --server_.connections_;
      if (--server_.clients_[client_] == 0) server_.clients_.erase(client_);
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

   private:
    AsioDnsServer& server_;
    asio::ip::address client_;
  };

  // One connection: questions one after the other, as many as come (RFC 7766).
  base::Task<> serve(tcp::socket socket, asio::ip::address client) {
    const Counted counted(*this, std::move(client));
    for (;;) {
      auto question =
          co_await base::with_timeout(read_question(socket), options_.tcp_idle_max, "a DNS client");
      if (!question || question->empty()) co_return;
      const auto start = clock_.now();
      const auto zone = zone_.get();
      const Answer answered =
          answer(*zone, *question, true, rotation_++, scratch_, forwarder_ != nullptr);
      if (answered.disposition == Disposition::Drop) co_return;
      // The scratch memory is everybody's until the next suspension; a connection keeps its answer.
      Bytes reply(2);
      reply.insert(reply.end(), scratch_.begin(),
                   scratch_.begin() + static_cast<std::ptrdiff_t>(answered.bytes));
      if (answered.disposition == Disposition::Elsewhere && forwarder_) {
        if (const auto forwarded = co_await forwarder_->ask(std::move(*question))) {
          reply.resize(2);
          reply.insert(reply.end(), forwarded->begin(), forwarded->end());
        } else {
          fail_with_servfail(std::span(reply).subspan(2));
        }
      } else if (!answered.alias.empty() && forwarder_) {
        Bytes whole(reply.begin() + 2, reply.end());
        co_await follow_alias(answered.alias, *question, whole, kTcpBytesMax);
        reply.resize(2);
        reply.insert(reply.end(), whole.begin(), whole.end());
      }
      reply[0] = static_cast<std::uint8_t>((reply.size() - 2) >> 8);
      reply[1] = static_cast<std::uint8_t>(reply.size() - 2);
      auto written =
          co_await base::with_timeout(write(socket, reply), options_.tcp_idle_max, "a DNS client");
      resolution_.observe(std::chrono::duration<double>(clock_.now() - start).count());
      if (!written) co_return;
    }
  }

  static base::Task<Result<Bytes>> read_question(tcp::socket& socket) {
    std::array<std::uint8_t, 2> size{};
    if (auto [error, count] =
            co_await asio::async_read(socket, asio::buffer(size), base::use_result);
        error) {
      co_return std::unexpected(base::from_system_error(error, "a DNS client"));
    }
    Bytes question(static_cast<std::size_t>(size[0] << 8 | size[1]));
    if (auto [error, count] =
            co_await asio::async_read(socket, asio::buffer(question), base::use_result);
        error) {
      co_return std::unexpected(base::from_system_error(error, "a DNS client"));
    }
    co_return question;
  }

  static base::Task<Result<>> write(tcp::socket& socket, base::BytesView bytes) {
    if (auto [error, count] = co_await asio::async_write(
            socket, asio::buffer(bytes.data(), bytes.size()), base::use_result);
        error) {
      co_return std::unexpected(base::from_system_error(error, "a DNS client"));
    }
    co_return Result<>();
  }

  // The refusal that was written becomes "could not be answered".
  static void fail_with_servfail(std::span<std::uint8_t> message) {
    message[3] =
        static_cast<std::uint8_t>((message[3] & 0xf0) | static_cast<std::uint8_t>(Rcode::ServFail));
  }

  // Adds what lies behind an alias of ours. A client that wants no recursion, or whose alias nobody
  // can resolve, gets the alias alone.
  base::Task<> follow_alias(std::string alias, base::BytesView question, Bytes& reply,
                            std::size_t limit) {
    const ParsedQuery asked = parse_query(question);
    if (!asked.query || !asked.query->recursion_desired) co_return;
    const auto behind = co_await forwarder_->ask(build_query(0, alias, asked.query->type));
    if (behind) append_alias_records(reply, *behind, limit);
  }

  base::Task<> forward_udp(Bytes question, UdpPeer from) {
    const auto start = clock_.now();
    Bytes reply(kUdpBytesMax);
    const Answer answered =
        answer(*zone_.get(), question, false, rotation_++, reply, forwarder_ != nullptr);
    reply.resize(answered.bytes);
    if (answered.disposition == Disposition::Drop) co_return;
    const std::size_t limit = udp_limit(question);
    if (answered.disposition == Disposition::Elsewhere) {
      auto forwarded = co_await forwarder_->ask(std::move(question));
      if (!forwarded) {
        fail_with_servfail(reply);
      } else if (forwarded->size() <= limit) {
        reply = std::move(*forwarded);
      } else {
        // Too large for the client: an empty answer that says "ask over TCP".
        fail_with_servfail(reply);
        reply[2] |= 0x02;
        reply[3] &= 0xf0;
      }
    } else if (!answered.alias.empty()) {
      co_await follow_alias(answered.alias, question, reply, limit);
    }
    if (stopping_) co_return;  // The socket is closed, and its number may be another one's.
    sendto(from.socket, reply.data(), reply.size(), MSG_DONTWAIT,
           reinterpret_cast<const sockaddr*>(&from.address), from.address_bytes);
    resolution_.observe(std::chrono::duration<double>(clock_.now() - start).count());
  }

  static std::size_t udp_limit(base::BytesView question) {
    const ParsedQuery parsed = parse_query(question);
    if (!parsed.query || !parsed.query->edns) return kPlainUdpBytesMax;
    return std::clamp<std::size_t>(parsed.query->edns->udp_bytes_max, kPlainUdpBytesMax,
                                   kUdpBytesMax);
  }

  base::Executor executor_;
  DnsServerOptions options_;
  base::Log log_;
  base::SystemClock clock_;
  base::SystemRng rng_;
  CurrentZone zone_;
  std::unique_ptr<Forwarder> forwarder_;
  base::TaskScope scope_;
  base::Counter& answered_;
  base::Histogram& resolution_;
  std::vector<std::unique_ptr<UdpResponder>> responders_;
  std::vector<tcp::acceptor> acceptors_;
  std::uint16_t port_ = 0;
  std::size_t connections_ = 0;
  std::map<asio::ip::address, std::size_t> clients_;
  Bytes scratch_ = Bytes(kTcpBytesMax);
  std::uint32_t rotation_ = 0;
  bool stopping_ = false;
};

}  // namespace

Result<std::unique_ptr<DnsServer>> DnsServer::open(base::Executor executor,
                                                   DnsServerOptions options, base::Log log,
                                                   base::Metrics& metrics) {
  auto server = std::make_unique<AsioDnsServer>(std::move(executor), std::move(options),
                                                std::move(log), metrics);
  TRY_DO(server->start());
  return server;
}

}  // namespace nexus::dns
