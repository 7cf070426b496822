#include "health/network_prober.hpp"

#include <fmt/format.h>

#include <base/async/timeout.hpp>
#include <base/http/client_connection.hpp>
#include <base/http/socket.hpp>
#include <utility>

#include "health/command_run.hpp"

namespace nexus {

namespace {

std::string authority(const std::string& host, std::uint16_t port) {
  return host.contains(':') ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

base::http::Headers headers_of(const HttpCheck& check, const std::string& host) {
  base::http::Headers headers;
  for (const auto& [name, value] : check.headers) headers.add(name, value);
  if (!headers.has("Host")) headers.add("Host", authority(host, check.port));
  if (!headers.has("User-Agent")) headers.add("User-Agent", "hypermesh-probe");
  if (!headers.has("Accept")) headers.add("Accept", "*/*");
  headers.add("Connection", "close");
  return headers;
}

base::Task<base::Result<>> get(const HttpCheck& check, std::string host) {
  auto connected = check.tls ? co_await base::http::connect_tls_unverified(host, check.port)
                             : co_await base::http::connect_tcp(host, check.port);
  CO_TRY(auto stream, std::move(connected));
  base::http::ClientConnection connection(std::move(stream));
  const std::string target = check.path.starts_with('/') ? check.path : "/" + check.path;
  CO_TRY_DO(co_await connection.send("GET", target, headers_of(check, host), ""));
  CO_TRY(const auto head, co_await connection.read_head());
  if (head.status >= 200 && head.status < 400) co_return base::Result<>();
  co_return base::fail(base::Errc::FailedPrecondition, fmt::format("status {}", head.status));
}

base::Task<base::Result<>> connect(std::string host, std::uint16_t port) {
  CO_TRY_DO(co_await base::http::connect_tcp(std::move(host), port));
  co_return base::Result<>();
}

/// `ask` of each host until one passes; the error is that of all of them.
template <class Ask>
base::Task<base::Result<>> any_of(std::vector<std::string> hosts, Ask ask) {
  std::vector<std::string> failures;
  for (const std::string& host : hosts) {
    auto answered = co_await ask(host);
    if (answered) co_return base::Result<>();
    failures.push_back(answered.error().describe());
  }
  if (failures.empty()) failures.emplace_back("the pod has no address");
  co_return base::fail(base::Errc::Unavailable, fmt::format("{}", fmt::join(failures, "; ")));
}

/// The check as a person would name it: "GET http://[fd00::2]:8080/healthz".
std::string name_of(const Check& check) {
  if (const auto* http = std::get_if<HttpCheck>(&check)) {
    return fmt::format("GET {}://{}{}", http->tls ? "https" : "http",
                       http->hosts.empty() ? "" : authority(http->hosts.front(), http->port),
                       http->path);
  }
  if (const auto* tcp = std::get_if<TcpCheck>(&check)) return fmt::format("TCP port {}", tcp->port);
  return fmt::format("{}", fmt::join(std::get<CommandCheck>(check).command, " "));
}

}  // namespace

/// One of the checks that run at once, until it ends or has had its time.
class NetworkProber::Turn {
 public:
  explicit Turn(NetworkProber& prober) : prober_(prober), timer_(prober.executor_) {
    ++prober_.running_;
    timer_.expires_after(
        std::chrono::duration_cast<base::asio::steady_timer::duration>(prober_.turn_));
    // The handler may run when the turn is gone: it looks through `alive_` first.
    timer_.async_wait([this, alive = std::weak_ptr(alive_)](const boost::system::error_code& off) {
      if (!off && !alive.expired()) end();
    });
  }
  ~Turn() { end(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  void end() {
    if (std::exchange(ended_, true)) return;
    --prober_.running_;
    prober_.turn_over_.notify();
  }

  NetworkProber& prober_;
  base::asio::steady_timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  bool ended_ = false;
};

base::Task<CheckResult> NetworkProber::run(Check check, base::Duration timeout) {
  while (running_ >= checks_at_once_max_) co_await turn_over_.wait();
  const Turn turn(*this);
  const std::string name = name_of(check);
  auto answered = co_await base::with_timeout(ask(std::move(check)), timeout, name);
  if (answered) co_return CheckResult{.passed = true, .detail = {}};
  if (answered.error().code == base::Errc::TimedOut)
    co_return CheckResult{.passed = false, .detail = answered.error().message};
  co_return CheckResult{.passed = false,
                        .detail = fmt::format("{}: {}", name, answered.error().describe())};
}

base::Task<base::Result<>> NetworkProber::ask(Check check) {
  if (const auto* http = std::get_if<HttpCheck>(&check)) {
    co_return co_await any_of(http->hosts,
                              [&](const std::string& host) { return get(*http, host); });
  }
  if (const auto* tcp = std::get_if<TcpCheck>(&check)) {
    co_return co_await any_of(tcp->hosts,
                              [&](const std::string& host) { return connect(host, tcp->port); });
  }
  auto& command = std::get<CommandCheck>(check);
  co_return co_await run_command(driver_, std::move(command.container), std::move(command.command));
}

}  // namespace nexus
