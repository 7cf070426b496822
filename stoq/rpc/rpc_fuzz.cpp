// Whatever comes, in whatever pieces: frames are found within their limits, and what a head or a
// status says is written again as it was read.

#include <algorithm>
#include <cstdlib>

#include "rpc/frames.hpp"
#include "rpc/head.hpp"

namespace {

using namespace stoq::rpc;

void demand(bool holds) {
  if (!holds) std::abort();
}

void head(base::BytesView payload) {
  const auto read = decode_head(payload);
  if (!read) return;
  base::Bytes again;
  append_head(again, *read);
  FrameDecoder frames({});
  frames.feed(again);
  const auto frame = frames.next();
  demand(frame && *frame);
  const auto twice = decode_head((*frame)->payload);
  demand(twice && twice->method == read->method && twice->time_left == read->time_left &&
         twice->trace.id == read->trace.id && twice->trace.span == read->trace.span);
}

void status(base::BytesView payload) {
  base::Result<> read;
  if (!decode_status(payload, read) || read) return;
  base::Bytes again;
  append_status(again, &read.error());
  demand(again.size() <= 16 * 1024 + 8);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const std::size_t piece = 1 + data[0];
  FrameDecoder frames({.head_bytes_max = 300, .message_bytes_max = 500, .status_bytes_max = 400});
  base::BytesView rest(data + 1, size - 1);
  std::size_t found = 0;
  while (!rest.empty()) {
    const auto part = rest.first(std::min(piece, rest.size()));
    rest = rest.subspan(part.size());
    frames.feed(base::Bytes(part.begin(), part.end()));
    for (;;) {
      const auto frame = frames.next();
      if (!frame) return 0;
      if (!*frame) break;
      found += (*frame)->payload.size();
      demand((*frame)->payload.size() <= 500);
      if ((*frame)->type == FrameType::Head) head((*frame)->payload);
      if ((*frame)->type == FrameType::Status) status((*frame)->payload);
    }
    demand(frames.pending() <= 510);
  }
  demand(found <= size);
  return 0;
}
