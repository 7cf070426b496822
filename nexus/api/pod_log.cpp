#include "api/handlers.hpp"
#include "api/log_text.hpp"
#include "api/options.hpp"

namespace nexus::api {
namespace {

constexpr std::size_t kBufferedBytesMax = 64 * 1024;

base::Task<Reply<>> copy_log(Exchange& exchange, LogReader& reader, const LogOptions& options) {
  LogText text(options);
  std::string buffered;
  while (!text.full()) {
    auto record = co_await reader.next();
    if (!record) co_return std::unexpected(Refusal(std::move(record).error()));
    if (!*record) break;
    buffered += text.next(**record);
    // Who follows waits for each line; who does not is served in large pieces.
    if (!options.follow && buffered.size() < kBufferedBytesMax) continue;
    CO_TRY_DO(co_await exchange.write(buffered));
    buffered.clear();
  }
  CO_TRY_DO(co_await exchange.write(buffered));
  co_return co_await exchange.end_stream();
}

}  // namespace

base::Task<Reply<>> read_log(Exchange& exchange) {
  CO_TRY(const LogOptions options,
         parse_log_options(exchange.query(), exchange.backend().clock.wall()));
  CO_TRY(const PodContainer container, find_container(exchange, options.container));
  CO_TRY(const Seats::Seat seat, exchange.shared.watches.take());
  LogQuery query;
  query.container = container.id;
  query.follow = options.follow;
  query.previous = options.previous;
  query.since = options.since;
  query.tail_lines = options.tail_lines;
  CO_TRY(const auto reader, co_await exchange.backend().driver.logs(std::move(query)));
  exchange.connection.close_after_answer();
  CO_TRY_DO(co_await exchange.begin_stream(options.as_json ? "application/x-ndjson"
                                                           : "text/plain; charset=utf-8"));
  co_return co_await until_peer_gone(exchange.connection, copy_log(exchange, *reader, options));
}

}  // namespace nexus::api
