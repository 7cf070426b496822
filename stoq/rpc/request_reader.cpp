#include "rpc/request_reader.hpp"

namespace stoq::rpc {

using base::Errc;
using base::Result;

Result<> RequestReader::feed(base::Bytes piece) {
  decoder_.feed(std::move(piece));
  return held_.resize(decoder_.held());
}

base::Task<Result<std::optional<Head>>> RequestReader::head(base::ByteStream& stream) {
  for (;;) {
    CO_TRY(const auto frame, decoder_.next());
    if (frame) {
      if (frame->type != FrameType::Head)
        co_return base::fail(Errc::DataLoss, "the call does not begin with a head");
      CO_TRY(auto head, decode_head(frame->payload));
      co_return head;
    }
    CO_TRY(auto piece, co_await stream.read());
    if (piece.empty()) {
      CO_TRY_DO(decoder_.end());
      co_return std::nullopt;
    }
    CO_TRY_DO(feed(std::move(piece)));
  }
}

base::Task<Result<std::optional<base::BytesView>>> RequestReader::message(
    base::ByteStream& stream) {
  for (;;) {
    CO_TRY(const auto frame, decoder_.next());
    if (frame) {
      if (frame->type != FrameType::Message)
        co_return base::fail(Errc::DataLoss, "the call has something else than messages");
      co_return frame->payload;
    }
    CO_TRY(auto piece, co_await stream.read());
    if (piece.empty()) {
      CO_TRY_DO(decoder_.end());
      co_return std::nullopt;
    }
    CO_TRY_DO(feed(std::move(piece)));
  }
}

}  // namespace stoq::rpc
