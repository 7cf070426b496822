#include "api/exchange.hpp"

#include <fmt/format.h>

#include <base/async/timeout.hpp>
#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include "api/media.hpp"
#include "audit/audit_log.hpp"
#include "manifest/yaml_document.hpp"

namespace nexus::api {
namespace {

// Parsing a larger body takes longer than others should wait.
constexpr std::size_t kParsedHereBytesMax = 128 * 1024;

}  // namespace

base::Result<Seats::Seat> Seats::take() {
  if (taken_ >= max_) {
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::ResourceExhausted,
                                         fmt::format("all {} {} are in use", max_, name_)),
                        "close some, or try again later"));
  }
  return Seat(*this);
}

base::http::Headers Exchange::headers(std::string_view content_type) const {
  return {{"Content-Type", std::string(content_type)},
          {"Cache-Control", "no-store"},
          {"X-Trace-Id", trace_id}};
}

base::Task<Reply<>> Exchange::answer_text(int status, std::string content_type, std::string body,
                                          base::http::Headers extra) const {
  base::http::Headers all = headers(content_type);
  for (const auto& entry : extra.entries()) all.add(entry.name, entry.value);
  CO_TRY_DO(co_await connection.respond(status, std::move(all), std::move(body)));
  co_return Reply<>{};
}

base::Task<Reply<>> Exchange::answer(int status, const Json& body,
                                     base::http::Headers extra) const {
  return answer_text(status, "application/json", to_text(body), std::move(extra));
}

base::Task<Reply<>> Exchange::begin_stream(std::string content_type) const {
  CO_TRY_DO(co_await connection.begin_stream(200, headers(content_type)));
  co_return Reply<>{};
}

base::Task<Reply<>> Exchange::write(std::string_view piece) const {
  CO_TRY_DO(co_await connection.write_stream(piece));
  co_return Reply<>{};
}

base::Task<Reply<>> Exchange::end_stream() const {
  CO_TRY_DO(co_await connection.end_stream());
  co_return Reply<>{};
}

base::Task<Reply<std::string>> Exchange::body() const {
  auto bytes = co_await connection.read_body(shared.limits.body_bytes_max);
  if (bytes) co_return *std::move(bytes);
  Refusal refusal(std::move(bytes).error());
  if (refusal.error.code == base::Errc::ResourceExhausted) {
    refusal.error.code = base::Errc::InvalidArgument;
    refusal.status = 413;
    refusal.reason = "RequestEntityTooLarge";
  } else if (refusal.error.code == base::Errc::TimedOut) {
    refusal.status = 408;
  } else {
    refusal.status = 400;
    refusal.reason = "BadRequest";
  }
  co_return std::unexpected(std::move(refusal));
}

base::Task<Reply<Json>> Exchange::json_body() const {
  if (!head.has_body) co_return Json();
  CO_TRY(std::string text, co_await body());
  if (text.empty()) co_return Json();
  const auto parse = [&text] { return manifest::read_json(text, {.text_bytes_max = text.size()}); };
  base::Result<Json> json =
      text.size() <= kParsedHereBytesMax ? parse() : co_await shared.backend.pool.run(parse);
  if (!json) co_return bad_request(fmt::format("the body: {}", json.error().message));
  co_return *std::move(json);
}

base::Task<Reply<std::string>> Exchange::record(std::string action, std::string object,
                                                std::string detail, std::string result) const {
  AuditEntry entry;
  entry.time = shared.backend.clock.wall();
  entry.who = principal.user;
  entry.role = to_string(principal.role);
  entry.action = std::move(action);
  entry.name_space = route.name_space;
  entry.object = std::move(object);
  entry.result = std::move(result);
  entry.detail = std::move(detail);
  entry.origin = principal.origin;
  entry.trace_id = trace_id;
  CO_TRY(const Receipt receipt, co_await shared.backend.audit.record(std::move(entry)));
  co_return receipt_value(receipt);
}

std::string receipt_value(const Receipt& receipt) {
  return fmt::format(R"({{"sequence":{},"treeSize":{},"root":"{}","signatures":{},"voters":{}}})",
                     receipt.sequence, receipt.tree_size, base::to_hex(receipt.root),
                     receipt.signatures, receipt.voters);
}

base::Task<> give_way() {
  co_await base::asio::post(base::asio::use_awaitable);
}

base::Task<Reply<>> until_peer_gone(base::http::ServerConnection& connection,
                                    base::Task<Reply<>> work) {
  using namespace base::asio::experimental::awaitable_operators;
  auto gone = [](base::http::ServerConnection& c) -> base::Task<Reply<>> {
    co_await c.peer_gone();
    co_return refuse(base::Errc::Cancelled, "the client went away");
  };
  auto first = co_await (std::move(work) || gone(connection));
  co_return std::visit([](Reply<> reply) { return reply; }, std::move(first));
}

}  // namespace nexus::api
