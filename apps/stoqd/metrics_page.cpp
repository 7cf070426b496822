#include "metrics_page.hpp"

#include <base/http/server_connection.hpp>

namespace apps {

namespace {

constexpr auto kAcceptPause = std::chrono::seconds(1);

}  // namespace

base::Result<std::unique_ptr<MetricsPage>> MetricsPage::open(const base::Executor& executor,
                                                             const base::config::Endpoint& address,
                                                             base::Metrics& metrics,
                                                             base::Log log) {
  TRY(auto listener, base::http::listen_tcp(executor, address.address, address.port, nullptr));
  return std::unique_ptr<MetricsPage>(
      new MetricsPage(executor, std::move(listener), metrics, std::move(log)));
}

MetricsPage::MetricsPage(const base::Executor& executor,
                         std::unique_ptr<base::http::Listener> listener, base::Metrics& metrics,
                         base::Log log)
    : listener_(std::move(listener)),
      metrics_(metrics),
      log_(std::move(log)),
      accepting_(executor),
      serving_(executor) {
  accepting_.spawn(accept());
}

base::Task<> MetricsPage::stop() {
  listener_->close();
  co_await accepting_.join();
  serving_.cancel();
  co_await serving_.join();
}

base::Task<> MetricsPage::accept() {
  for (;;) {
    auto accepted = co_await listener_->accept();
    if (!accepted) {
      if (accepted.error().code == base::Errc::Cancelled) co_return;
      log_.warning("a connection was not accepted", {{"error", accepted.error()}});
      co_await base::sleep_for(kAcceptPause);
    } else if (serving_.size() < kConnectionsMax) {
      serving_.spawn(serve(std::move(accepted->stream)));
    }
  }
}

base::Task<> MetricsPage::serve(std::unique_ptr<base::ByteStream> stream) {
  base::http::ServerConnection connection(serving_.executor(), std::move(stream), {});
  for (;;) {
    const auto request = co_await connection.next_request();
    if (!request || !*request) co_return;
    const bool found = (*request)->target == "/metrics";
    const bool known = (*request)->method == "GET";
    const auto answered =
        found && known
            ? co_await connection.respond(
                  200, {{"Content-Type", "text/plain; version=0.0.4; charset=utf-8"}},
                  metrics_.expose())
            : co_await connection.respond(found ? 405 : 404, {{"Content-Type", "text/plain"}},
                                          "GET /metrics is all there is here\n");
    if (!answered) co_return;
  }
}

}  // namespace apps
