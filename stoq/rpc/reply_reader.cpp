#include "rpc/reply_reader.hpp"

#include "rpc/head.hpp"

namespace stoq::rpc {

using base::Errc;
using base::Result;

namespace {

base::Error broken(std::string what) {
  return base::make_error(Errc::DataLoss, "the answer " + std::move(what));
}

}  // namespace

Result<> ReplyReader::finish(base::BytesView payload) {
  Result<> status;
  TRY_DO(decode_status(payload, status));
  done_ = true;
  return status;
}

base::Task<Result<std::optional<base::BytesView>>> ReplyReader::next(base::ByteStream& stream) {
  for (;;) {
    CO_TRY(const auto frame, decoder_.next());
    if (!frame) {
      CO_TRY(auto piece, co_await stream.read());
      if (piece.empty()) {
        CO_TRY_DO(decoder_.end());
        co_return std::unexpected(broken("ended without a status"));
      }
      decoder_.feed(std::move(piece));
      continue;
    }
    switch (frame->type) {
      case FrameType::Message:
        co_return frame->payload;
      case FrameType::Status:
        CO_TRY_DO(finish(frame->payload));
        co_return std::nullopt;
      case FrameType::Head:
        co_return std::unexpected(broken("has a head, which only requests have"));
    }
  }
}

base::Task<Result<base::BytesView>> ReplyReader::only(base::ByteStream& stream) {
  CO_TRY(const auto first, co_await next(stream));
  if (!first) co_return std::unexpected(broken("is a success without a message"));
  base::BytesView message = *first;
  // The status has mostly come with it, and then nothing is copied.
  CO_TRY(const auto frame, decoder_.next());
  if (frame) {
    if (frame->type != FrameType::Status)
      co_return std::unexpected(broken("has more than one message"));
    CO_TRY_DO(finish(frame->payload));
    co_return message;
  }
  kept_.assign(message.begin(), message.end());
  CO_TRY(const auto second, co_await next(stream));
  if (second) co_return std::unexpected(broken("has more than one message"));
  co_return kept_;
}

}  // namespace stoq::rpc
