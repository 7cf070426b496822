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

// A tar archive (POSIX.1-2017, pax) is made of blocks; of a header we need the size and the type.
constexpr std::size_t kTarBlockBytes = 512;
constexpr std::size_t kTarSizeAt = 124;
constexpr std::size_t kTarSizeBytes = 12;
constexpr std::size_t kTarTypeAt = 156;
constexpr std::size_t kTarHeadBytesMax = 64 * 1024;

/// Whether the archive begins with a folder; nothing when `head` is too short to tell.
std::optional<bool> begins_with_folder(base::BytesView head) {
  std::size_t at = 0;
  while (head.size() - at >= kTarBlockBytes) {
    const std::string_view block = base::as_text(head.subspan(at, kTarBlockBytes));
    const char type = block[kTarTypeAt];
    if (std::string_view("xgLK").find(type) == std::string_view::npos) return type == '5';
    // What says more about the entry (a long name) stands before it.
    std::size_t bytes = 0;
    for (const char digit : block.substr(kTarSizeAt, kTarSizeBytes)) {
      if (digit >= '0' && digit <= '7') bytes = bytes * 8 + static_cast<std::size_t>(digit - '0');
      if (bytes > kTarHeadBytesMax) return false;
    }
    at += kTarBlockBytes + (bytes + kTarBlockBytes - 1) / kTarBlockBytes * kTarBlockBytes;
    if (at > head.size()) break;
  }
  return std::nullopt;
}

base::Task<base::Result<bool>> looks_like_folder(base::ByteStream& stream) {
  base::Bytes head;
  for (;;) {
    CO_TRY(const base::Bytes bytes, co_await stream.read());
    head.insert(head.end(), bytes.begin(), bytes.end());
    if (const auto folder = begins_with_folder(head)) co_return *folder;
    if (bytes.empty() || head.size() > kTarHeadBytesMax)
      co_return base::fail(base::Errc::DataLoss, "the copy of the files is no archive");
  }
}

/// A stream that gave its first bytes: what goes wrong at once (no such file) comes before them.
struct OpenedCopy {
  std::unique_ptr<base::ByteStream> stream;
  base::Bytes first;
};

base::Task<base::Result<OpenedCopy>> open_copy(WorkloadDriver& driver, ContainerId id,
                                               std::string path) {
  OpenedCopy copy;
  CO_TRY(copy.stream, co_await driver.copy_out(std::move(id), std::move(path)));
  CO_TRY(copy.first, co_await copy.stream->read());
  co_return copy;
}

// Takes the body as it comes. The stream's own failure is the one to tell.
base::Task<Reply<>> copy_from_client(Exchange& exchange, const ContainerId& id,
                                     const std::string& path) {
  CO_TRY(const auto stream, co_await exchange.backend().driver.copy_in(id, path));
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
  co_return Reply<>{};
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
  CO_TRY(const bool kind_only, exchange.query().flag("kindOnly"));
  CO_TRY(const PodContainer container,
         find_container(exchange, std::string(exchange.query().get("container"))));
  CO_TRY_DO(check_entry(container.pod->json, exchange.principal.role));
  CO_TRY(const Seats::Seat seat, exchange.shared.sessions.take());
  WorkloadDriver& driver = exchange.backend().driver;
  if (kind_only) {
    // Nothing of the files leaves the node: no more than reading an object is this recorded.
    CO_TRY(const auto stream, co_await driver.copy_out(container.id, path));
    CO_TRY(const bool folder, co_await looks_like_folder(*stream));
    co_return co_await exchange.answer(200, {{"folder", folder}});
  }
  auto copy = co_await open_copy(driver, container.id, path);
  const std::string shown = fmt::format("{}:{}", container.id.name, path);
  const std::string object = "pod/" + exchange.route.name;
  // Before the first byte leaves the node; a copy that breaks off later has a second record.
  CO_TRY_DO(co_await exchange.record("copy-out", object, shown, audit_result(copy)));
  if (!copy) co_return std::unexpected(Refusal(std::move(copy).error()));
  exchange.connection.close_after_answer();
  CO_TRY_DO(co_await exchange.begin_stream("application/x-tar"));
  auto copied = co_await until_peer_gone(
      exchange.connection, copy_to_client(exchange, *copy->stream, std::move(copy->first)));
  if (!copied) {
    (void)co_await exchange.record("copy-out", object, shown, audit_result(copied));
  }
  co_return copied;
}

base::Task<Reply<>> write_files(Exchange& exchange) {
  CO_TRY(const std::string path, wanted_path(exchange));
  CO_TRY(const PodContainer container,
         find_container(exchange, std::string(exchange.query().get("container"))));
  CO_TRY_DO(check_entry(container.pod->json, exchange.principal.role));
  CO_TRY(const Seats::Seat seat, exchange.shared.sessions.take());
  const auto copied = co_await copy_from_client(exchange, container.id, path);
  CO_TRY(std::string receipt,
         co_await exchange.record("copy-in", "pod/" + exchange.route.name,
                                  fmt::format("{}:{}", container.id.name, path),
                                  audit_result(copied)));
  if (!copied) co_return copied;
  const Json status = {{"kind", "Status"},
                       {"apiVersion", "v1"},
                       {"metadata", Json::object()},
                       {"status", "Success"}};
  co_return co_await exchange.answer(200, status, {{"HyperMesh-Receipt", std::move(receipt)}});
}

}  // namespace nexus::api
