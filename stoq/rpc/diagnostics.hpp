#pragma once

#include <stoq/v1/diagnostics.pb.h>

#include <stoq/rpc_server.hpp>
#include <string>

namespace stoq {

/// Echoes its payload.
inline constexpr rpc::Unary<v1::PingRequest, v1::PingReply> kPing{
    "stoq.v1.Diagnostics/Ping",
    {.priority = Priority::Interactive,
     .replay_safe = true,
     .request_bytes_max = 64 * 1024,
     .reply_bytes_max = 64 * 1024}};

/// Who answers, and whom it takes the caller for.
inline constexpr rpc::Unary<v1::IdentityRequest, v1::IdentityReply> kIdentity{
    "stoq.v1.Diagnostics/Identity", {.priority = Priority::Interactive, .replay_safe = true}};

/// Takes all that the caller sends, then sends what the first message asks for, then how much came.
inline constexpr rpc::TwoWay<v1::TransferRequest, v1::TransferReply> kTransfer{
    "stoq.v1.Diagnostics/Transfer",
    {.priority = Priority::Bulk, .lane = rpc::Lane::Bulk, .timeout = std::chrono::minutes(5)}};

struct DiagnosticsOptions {
  NodeId self;
  std::string version;  ///< Of the software.
  const base::Clock* clock = nullptr;
  std::uint64_t transfer_bytes_max = 64ull << 30;  ///< In each direction; 0: nobody may.
};

/// Bytes of a transfer's message when the caller does not say, and at most.
inline constexpr std::uint32_t kTransferMessageBytes = 64 * 1024,
                               kTransferMessageBytesMax = 512 * 1024;

/// Adds the methods of stoq.v1.Diagnostics. What `options` points to outlives the server.
void handle_diagnostics(rpc::Server& server, DiagnosticsOptions options);

}  // namespace stoq
