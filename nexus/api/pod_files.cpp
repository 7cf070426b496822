// Copies files out of and into containers, as tar streams.

#include <fmt/format.h>

#include "api/handlers.hpp"
#include "api/write_rules.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

Reply<std::string> wanted_path(const Exchange& exchange) {
  const std::string path(exchange.query().get("path"));
  if (path.empty()) return bad_request("no path: ?path=/etc");
  return path;
}

base::Task<Reply<>> copy_to_client(Exchange& exchange, base::ByteStream& stream,
                                   base::Bytes first) {
  base::Bytes bytes = std::move(first);
  while (!bytes.empty()) {
    CO_TRY_DO(co_await exchange.write(base::as_text(bytes)));
    CO_TRY(bytes, co_await stream.read());
  }
  co_return co_await exchange.end_stream();
}

}  // namespace

base::Task<Reply<>> read_files(Exchange& exchange) {
  CO_TRY(const std::string path, wanted_path(exchange));
  CO_TRY(const PodContainer container,
         find_container(exchange, std::string(exchange.query().get("container"))));
  CO_TRY_DO(check_entry(container.pod->json, exchange.principal.role));
  CO_TRY(const Seats::Seat seat, exchange.shared.sessions.take());
  CO_TRY_DO(co_await exchange.record("copy-out", "pod/" + exchange.route.name,
                                     fmt::format("{}:{}", container.id.name, path)));
  CO_TRY(const auto stream, co_await exchange.backend().driver.copy_out(container.id, path));
  // What goes wrong at once (no such file) is still an answer of its own.
  CO_TRY(base::Bytes first, co_await stream->read());
  exchange.connection.close_after_answer();
  CO_TRY_DO(co_await exchange.begin_stream("application/x-tar"));
  co_return co_await until_peer_gone(exchange.connection,
                                     copy_to_client(exchange, *stream, std::move(first)));
}

base::Task<Reply<>> write_files(Exchange& exchange) {
  CO_TRY(const std::string path, wanted_path(exchange));
  CO_TRY(const PodContainer container,
         find_container(exchange, std::string(exchange.query().get("container"))));
  CO_TRY_DO(check_entry(container.pod->json, exchange.principal.role));
  CO_TRY(const Seats::Seat seat, exchange.shared.sessions.take());
  CO_TRY(std::string receipt,
         co_await exchange.record("copy-in", "pod/" + exchange.route.name,
                                  fmt::format("{}:{}", container.id.name, path)));
  CO_TRY(const auto stream, co_await exchange.backend().driver.copy_in(container.id, path));
  std::uint64_t copied = 0;
  for (;;) {
    CO_TRY(const base::Bytes bytes, co_await exchange.connection.read_body_some());
    if (bytes.empty()) break;
    copied += bytes.size();
    if (copied > exchange.shared.limits.archive_bytes_max) {
      co_return refuse(base::Errc::InvalidArgument, 413, "RequestEntityTooLarge",
                       fmt::format("the archive is larger than {} bytes",
                                   exchange.shared.limits.archive_bytes_max));
    }
    if (!co_await stream->write(bytes)) break;  // Reading tells why.
  }
  stream->close_write();
  for (;;) {
    CO_TRY(const base::Bytes bytes, co_await stream->read());
    if (bytes.empty()) break;
  }
  const Json status = {{"kind", "Status"},
                       {"apiVersion", "v1"},
                       {"metadata", Json::object()},
                       {"status", "Success"}};
  co_return co_await exchange.answer(200, status, {{"HyperMesh-Receipt", std::move(receipt)}});
}

}  // namespace nexus::api
