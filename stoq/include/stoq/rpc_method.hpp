#pragma once

// What a call is, before anybody makes it: the descriptor that a client and a server share, e.g.
//
//   inline constexpr rpc::Unary<PingRequest, PingReply> kPing{"stoq.v1.Diagnostics/Ping",
//                                                             {.replay_safe = true}};

#include <array>
#include <base/bytes.hpp>
#include <base/time.hpp>
#include <concepts>
#include <stoq/types.hpp>

namespace stoq::rpc {

/// How many messages go each way. On the wire: bit 0, several requests; bit 1, several replies.
enum class Kind : std::uint8_t { Unary = 0, ClientStream = 1, ServerStream = 2, TwoWay = 3 };
constexpr bool many_requests(Kind kind) {
  return (static_cast<std::uint8_t>(kind) & 1) != 0;
}
constexpr bool many_replies(Kind kind) {
  return (static_cast<std::uint8_t>(kind) & 2) != 0;
}

/// A pair of nodes keeps a connection for each, so that votes never wait behind content.
enum class Lane : std::uint8_t { Control, Bulk };
/// The application protocol that tells a connection's lane.
constexpr std::string_view alpn_of(Lane lane) {
  return lane == Lane::Control ? "stoq/1" : "stoq-bulk/1";
}

struct MethodOptions {
  Priority priority = Priority::Normal;
  Lane lane = Lane::Control;
  /// Serving it twice does no harm: it may travel with the first packet of a resumed connection,
  /// which an attacker can record and send again.
  bool replay_safe = false;
  std::uint32_t request_bytes_max = 1u << 20;  ///< Of one message.
  std::uint32_t reply_bytes_max = 1u << 20;
  /// Of a call whose caller gives none. Zero: as long as it takes (streams of events).
  base::Duration timeout = std::chrono::seconds(10);
};

struct Method {
  std::string_view name;  ///< "package.Service/Method", of static life.
  Kind kind = Kind::Unary;
  MethodOptions options;
};

/// Typed descriptors; the types are protobuf messages, or look like them.
template <class Request, class Reply, Kind kKind>
struct MethodOf : Method {
  constexpr MethodOf(std::string_view method, MethodOptions how = {})
      : Method{method, kKind, how} {}
};
template <class Request, class Reply>
using Unary = MethodOf<Request, Reply, Kind::Unary>;
template <class Request, class Reply>
using ClientStream = MethodOf<Request, Reply, Kind::ClientStream>;
template <class Request, class Reply>
using ServerStream = MethodOf<Request, Reply, Kind::ServerStream>;
template <class Request, class Reply>
using TwoWay = MethodOf<Request, Reply, Kind::TwoWay>;

/// Ties the calls together that serve one purpose.
struct Trace {
  std::array<std::uint8_t, 16> id{};  ///< All zero: none yet.
  std::uint64_t span = 0;             ///< The part of it that asks; 0: the beginning.
};

/// What a call hands on to the calls that are made for it.
struct Context {
  Trace trace;
  base::MonotonicTime deadline = base::MonotonicTime::max();
};

template <class M>
concept Message =
    std::default_initializable<M> && requires(M m, const M& c, std::uint8_t* out, const void* in) {
      { c.ByteSizeLong() } -> std::convertible_to<std::size_t>;
      c.SerializeWithCachedSizesToArray(out);
      { m.ParseFromArray(in, 0) } -> std::same_as<bool>;
    };

/// Appends the frame of a message of `bytes` bytes, which the caller writes at the pointer.
/// Errors: ResourceExhausted (more than `bytes_max`).
base::Result<std::uint8_t*> append_message(base::Bytes& out, const Method& method,
                                           std::size_t bytes, std::size_t bytes_max);
base::Error unreadable(const Method& method, std::size_t bytes);

template <Message M>
base::Result<> encode(base::Bytes& out, const Method& method, const M& message,
                      std::size_t bytes_max) {
  TRY(std::uint8_t* const at, append_message(out, method, message.ByteSizeLong(), bytes_max));
  message.SerializeWithCachedSizesToArray(at);
  return {};
}

/// Errors: DataLoss (not such a message).
template <Message M>
base::Result<M> decode(const Method& method, base::BytesView bytes) {
  M message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return std::unexpected(unreadable(method, bytes.size()));
  return message;
}

}  // namespace stoq::rpc
