#include "rpc/diagnostics.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace stoq {

using base::Errc;
using base::Result;
using base::Task;

namespace {

std::int64_t seconds(base::WallTime time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

std::string raw(const NodeId& node) {
  return std::string(base::as_text(node.bytes));
}

Task<Result<v1::PingReply>> ping(rpc::Call&, const v1::PingRequest& request) {
  v1::PingReply reply;
  reply.set_payload(request.payload());
  co_return reply;
}

class Identify {
 public:
  explicit Identify(DiagnosticsOptions options) : options_(std::move(options)) {}

  Task<Result<v1::IdentityReply>> operator()(rpc::Call& call, const v1::IdentityRequest&) const {
    v1::IdentityReply reply;
    reply.set_node(raw(options_.self));
    reply.set_version(options_.version);
    reply.set_alpn(std::string(rpc::alpn_of(call.method().options.lane)));
    if (call.peer()) reply.set_caller(raw(*call.peer()));
    reply.set_now(seconds(options_.clock->wall()));
    co_return reply;
  }

 private:
  DiagnosticsOptions options_;
};

class Transfer {
 public:
  explicit Transfer(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  Task<Result<>> operator()(rpc::Call&, rpc::Reader<v1::TransferRequest>& requests,
                            rpc::Writer<v1::TransferReply>& replies) const {
    if (bytes_max_ == 0) {
      co_return std::unexpected(
          base::with_hint(base::make_error(Errc::Forbidden, "this node lets nobody measure it"),
                          "transport.allow_bench: true in its stoq.yaml, and start it again"));
    }
    CO_TRY(const auto first, co_await requests.read());
    if (!first) co_return base::fail(Errc::InvalidArgument, "a transfer begins with a message");
    CO_TRY_DO(within("want_bytes", first->want_bytes(), bytes_max_));
    CO_TRY_DO(within("message_bytes", first->message_bytes(), kTransferMessageBytesMax));
    std::uint64_t received = first->data().size();
    for (;;) {
      CO_TRY(const auto next, co_await requests.read());
      if (!next) break;
      received += next->data().size();
      CO_TRY_DO(within("data in all", received, bytes_max_));
    }
    v1::TransferReply reply;
    std::uint64_t left = first->want_bytes();
    const std::uint32_t message_bytes =
        first->message_bytes() > 0 ? first->message_bytes() : kTransferMessageBytes;
    reply.mutable_data()->assign(message_bytes, '\0');
    for (; left > 0; left -= reply.data().size()) {
      if (left < message_bytes) reply.mutable_data()->resize(left);
      CO_TRY_DO(co_await replies.write(reply));
    }
    reply.clear_data();
    reply.set_received_bytes(received);
    co_return co_await replies.write(reply);
  }

 private:
  static Result<> within(std::string_view what, std::uint64_t value, std::uint64_t limit) {
    if (value <= limit) return {};
    return base::fail(Errc::InvalidArgument,
                      fmt::format("a transfer's {} is {}; at most {}", what, value, limit));
  }
  std::uint64_t bytes_max_;
};

}  // namespace

void handle_diagnostics(rpc::Server& server, DiagnosticsOptions options) {
  server.handle(kPing, ping);
  server.handle(kTransfer, Transfer(options.transfer_bytes_max));
  server.handle(kIdentity, Identify(std::move(options)));
}

}  // namespace stoq
