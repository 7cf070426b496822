#include "connector.hpp"

#include <fmt/format.h>

#include <base/async/timeout.hpp>
#include <base/http/socket.hpp>

namespace api_client {

using Stream = std::unique_ptr<base::ByteStream>;

namespace {

std::string authority(const Endpoint& endpoint) {
  const bool v6 = endpoint.address.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", endpoint.address, endpoint.port)
            : fmt::format("{}:{}", endpoint.address, endpoint.port);
}

// Asks whether the process behind the socket answers at all: the kernel accepts connections also
// for one that is stopped.
base::Task<base::Result<Stream>> ask_livez(Stream stream, std::string host) {
  // The connection borrows the stream for one exchange and hands it back.
  class Borrowed final : public base::ByteStream {
   public:
    explicit Borrowed(base::ByteStream& stream) : stream_(stream) {}
    base::Task<base::Result<base::Bytes>> read() override { return stream_.read(); }
    base::Task<base::Result<>> write(base::BytesView bytes) override {
      return stream_.write(bytes);
    }
    void close_write() override { stream_.close_write(); }
    void close() override { stream_.close(); }

   private:
    base::ByteStream& stream_;
  };
  {
    base::http::ClientConnection connection(std::make_unique<Borrowed>(*stream));
    CO_TRY_DO(co_await connection.send("GET", "/livez", {{"Host", host}}, ""));
    CO_TRY(const auto head, co_await connection.read_head());
    CO_TRY_DO(co_await connection.read_body(64 * 1024));
    if (head.status != 200 || !connection.reusable())
      co_return base::fail(base::Errc::Unavailable, "it is not alive");
  }
  co_return std::move(stream);
}

}  // namespace

std::string describe(const Endpoint& endpoint) {
  const std::string where =
      endpoint.socket_path.empty() ? authority(endpoint) : "unix " + endpoint.socket_path;
  return endpoint.name.empty() ? where : fmt::format("{} ({})", endpoint.name, where);
}

std::string Connector::host() const {
  return endpoint().socket_path.empty() ? authority(endpoint()) : "localhost";
}

base::http::Headers Connector::headers() const {
  base::http::Headers headers{{"Host", host()}, {"User-Agent", "hypermesh"}};
  if (!endpoint().token.empty()) headers.add("Authorization", "Bearer " + endpoint().token);
  if (!config_.role.empty()) headers.add("HyperMesh-As-Role", config_.role);
  if (!config_.trace_id.empty()) headers.add("X-Trace-Id", config_.trace_id);
  return headers;
}

void Connector::pass_over() {
  current_ = (current_ + 1) % config_.endpoints.size();
}

base::Task<base::Result<Stream>> Connector::open(const Endpoint& endpoint) const {
  if (endpoint.socket_path.empty()) {
    co_return co_await base::http::connect_tls(endpoint.address, endpoint.port,
                                               endpoint.certificate_pem);
  }
  auto stream = co_await base::http::connect_unix(endpoint.socket_path);
  // Nobody listens; it must not be taken for an object that is not there.
  if (!stream && stream.error().code == base::Errc::NotFound)
    stream.error().code = base::Errc::Unavailable;
  co_return stream;
}

base::Task<base::Result<Stream>> Connector::open_and_ask(const Endpoint& endpoint) const {
  CO_TRY(Stream stream, co_await open(endpoint));
  // Where there is no other to go to, the request itself is the question.
  if (config_.endpoints.size() == 1) co_return std::move(stream);
  co_return co_await ask_livez(std::move(stream), "localhost");
}

base::Task<base::Result<Stream>> Connector::connect() {
  std::string tried;
  base::Error last;
  for (std::size_t i = 0; i < config_.endpoints.size(); ++i) {
    auto stream = co_await base::with_timeout(open_and_ask(endpoint()), config_.connect_max,
                                              describe(endpoint()));
    if (stream) co_return std::move(stream);
    last = std::move(stream).error();
    // Another certificate or a forbidden socket is no reason to look elsewhere.
    if (last.code == base::Errc::NotVerified || last.code == base::Errc::Forbidden)
      co_return std::unexpected(std::move(last));
    tried += fmt::format("{}{}", tried.empty() ? "" : "; ", last.describe());
    pass_over();
  }
  if (config_.endpoints.size() == 1) co_return std::unexpected(std::move(last));
  co_return base::fail(base::Errc::Unavailable, fmt::format("none of {} nodes answers: {}",
                                                            config_.endpoints.size(), tried));
}

}  // namespace api_client
