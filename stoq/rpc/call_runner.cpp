#include "rpc/call_runner.hpp"

#include <fmt/format.h>

namespace stoq::rpc {

using base::Errc;
using base::Result;

base::Task<Result<bool>> CallRunner::read() {
  CO_TRY(const auto head, co_await where_.requests.head(where_.stream));
  if (!head) co_return false;
  context_.trace = {head->trace.id, where_.span};
  if (head->time_left) context_.deadline = where_.clock.now() + *head->time_left;
  CO_TRY(entry_, where_.methods.find(*head, where_.lane));
  where_.requests.set_request_bytes_max(entry_->method.options.request_bytes_max);
  if (many_requests(entry_->method.kind)) co_return true;
  CO_TRY(const auto request, co_await where_.requests.message(where_.stream));
  if (!request) {
    co_return base::fail(Errc::DataLoss,
                         fmt::format("{}: the call ended without a request", entry_->name));
  }
  request_ = *request;
  co_return true;
}

base::Task<Result<base::Bytes>> CallRunner::run() {
  return entry_->handler->serve(*this, request_);
}

base::Task<Result<std::optional<base::BytesView>>> CallRunner::receive() {
  return where_.requests.message(where_.stream);
}

base::Task<Result<>> CallRunner::send(base::Bytes frames) {
  CallBytes::Held held(where_.budget);
  CO_TRY_DO(held.resize(frames.size()));
  writing_since_ = where_.clock.now();
  auto sent = co_await where_.stream.write(frames);
  writing_since_ = base::MonotonicTime::max();
  co_return sent;
}

base::Bytes ending(Result<base::Bytes> frames) {
  if (frames) {
    append_status(*frames, nullptr);
    return *std::move(frames);
  }
  base::Bytes status;
  append_status(status, &frames.error());
  return status;
}

}  // namespace stoq::rpc
