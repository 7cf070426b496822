// Image archives in and out.

#include <fmt/format.h>

#include "api/handlers.hpp"
#include "api/image_routes.hpp"
#include "api/media.hpp"
#include "api/spool_file.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

base::Task<Reply<>> receive_archive(Exchange& exchange, SpoolFile& file) {
  std::uint64_t received = 0;
  for (;;) {
    CO_TRY(base::Bytes bytes, co_await exchange.connection.read_body_some());
    if (bytes.empty()) break;
    received += bytes.size();
    if (received > exchange.shared.limits.archive_bytes_max) {
      co_return refuse(base::Errc::InvalidArgument, 413, "RequestEntityTooLarge",
                       fmt::format("the archive is larger than {} bytes",
                                   exchange.shared.limits.archive_bytes_max));
    }
    CO_TRY_DO(co_await file.append(std::move(bytes)));
  }
  if (received == 0) co_return bad_request("the archive is empty");
  co_return Reply<>{};
}

base::Task<Reply<>> finish_import(Exchange& exchange, ImageAdmin& images, std::string path,
                                  std::string shown) {
  CO_TRY(const std::vector<std::string> references,
         co_await images.import(std::move(path), std::string(exchange.query().get("reference"))));
  CO_TRY(std::string receipt,
         co_await exchange.record("import",
                                  references.empty() ? "image" : "image/" + references.front(),
                                  std::move(shown)));
  const Json body = {
      {"kind", "ImageImport"}, {"apiVersion", "hypermesh.io/v1"}, {"references", references}};
  co_return co_await exchange.answer(200, body, {{"HyperMesh-Receipt", std::move(receipt)}});
}

}  // namespace

base::Task<Reply<>> import_image(Exchange& exchange) {
  CO_TRY(ImageAdmin* const images, image_admin(exchange));
  const auto type = exchange.head.headers.get("Content-Type").value_or("");
  if (!type.empty() && is_json(type)) {
    CO_TRY(const Json body, co_await exchange.json_body());
    if (!body.is_object() || !body.contains("path") || !body["path"].is_string())
      co_return bad_request(
          R"(the body is {"path":"/folder/or/archive"}, or an archive as application/x-tar)");
    const std::string path = body["path"];
    co_return co_await finish_import(exchange, *images, path, "from " + path);
  }
  CO_TRY(const Seats::Seat seat, exchange.shared.sessions.take());
  CO_TRY(SpoolFile file, SpoolFile::reserve(exchange.backend().pool, exchange.backend().spool,
                                            exchange.backend().rng));
  CO_TRY_DO(co_await receive_archive(exchange, file));
  co_return co_await finish_import(exchange, *images, file.path(), "from an archive");
}

base::Task<Reply<>> export_image(Exchange& exchange) {
  CO_TRY(ImageAdmin* const images, image_admin(exchange));
  CO_TRY(const std::string reference, image_reference(exchange));
  CO_TRY(const Seats::Seat seat, exchange.shared.sessions.take());
  CO_TRY(SpoolFile file, SpoolFile::reserve(exchange.backend().pool, exchange.backend().spool,
                                            exchange.backend().rng));
  CO_TRY_DO(co_await images->write_archive(reference, file.path()));
  CO_TRY_DO(co_await exchange.begin_stream("application/x-tar"));
  for (;;) {
    CO_TRY(const base::Bytes bytes, co_await file.read_some());
    if (bytes.empty()) break;
    CO_TRY_DO(co_await exchange.write(base::as_text(bytes)));
  }
  co_return co_await exchange.end_stream();
}

}  // namespace nexus::api
