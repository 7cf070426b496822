#pragma once

// Bytes of a canonical format as a message of STOQ's calls, and the calls between replicas:
// docs/wire/consensus.md, "Calls".

#include <algorithm>
#include <base/bytes.hpp>
#include <stoq/rpc_method.hpp>

#include "consensus/messages.hpp"
#include "state/transfer_messages.hpp"

namespace hypermesh::consensus {

struct Frame {
  base::Bytes bytes;

  std::size_t ByteSizeLong() const { return bytes.size(); }
  void SerializeWithCachedSizesToArray(std::uint8_t* out) const { std::ranges::copy(bytes, out); }
  bool ParseFromArray(const void* in, int size) {
    const auto* const first = static_cast<const std::uint8_t*>(in);
    bytes.assign(first, first + size);
    return true;
  }
};

/// A frame holds several messages, each behind its length (u32).
inline constexpr std::size_t kFrameBytesMax = kMessageBytesMax + (1 << 20);

inline constexpr stoq::rpc::ClientStream<Frame, Frame> kVotes{"hypermesh.v1.Consensus/Votes",
                                                              {.priority = stoq::Priority::Control,
                                                               .request_bytes_max = kFrameBytesMax,
                                                               .timeout = base::Duration::zero()}};
inline constexpr stoq::rpc::ClientStream<Frame, Frame> kBlocks{"hypermesh.v1.Consensus/Blocks",
                                                               {.lane = stoq::rpc::Lane::Bulk,
                                                                .request_bytes_max = kFrameBytesMax,
                                                                .timeout = base::Duration::zero()}};

/// requests.hpp; several in a frame, each behind its length (u32).
inline constexpr stoq::rpc::TwoWay<Frame, Frame> kRequests{
    "hypermesh.v1.State/Requests",
    {.request_bytes_max = kFrameBytesMax,
     .reply_bytes_max = kFrameBytesMax + (8 << 20),
     .timeout = base::Duration::zero()}};

/// The same bytes, to measure how long that takes.
inline constexpr stoq::rpc::Unary<Frame, Frame> kEcho{"hypermesh.v1.Consensus/Echo",
                                                      {.priority = stoq::Priority::Control,
                                                       .replay_safe = true,
                                                       .request_bytes_max = 64,
                                                       .reply_bytes_max = 64,
                                                       .timeout = std::chrono::seconds(5)}};

/// state::TransferRequest and state::TransferAnswer.
inline constexpr stoq::rpc::Unary<Frame, Frame> kFetchState{"hypermesh.v1.Consensus/FetchState",
                                                            {.priority = stoq::Priority::Bulk,
                                                             .lane = stoq::rpc::Lane::Bulk,
                                                             .replay_safe = true,
                                                             .request_bytes_max = 4 << 20,
                                                             .reply_bytes_max = 16 << 20,
                                                             .timeout = std::chrono::seconds(10)}};

}  // namespace hypermesh::consensus
