#pragma once

// What the first frame of a call and the last frame of its answer say.

#include <base/bytes.hpp>
#include <base/time.hpp>
#include <optional>
#include <stoq/rpc_method.hpp>
#include <string>

namespace stoq::rpc {

inline constexpr std::size_t kMethodNameBytesMax = 200;
inline constexpr std::size_t kStatusMessageBytesMax = 4096;
inline constexpr std::size_t kStatusHintsMax = 8;
inline constexpr std::size_t kStatusHintBytesMax = 1024;

/// Of the call, as far as it travels. Who calls is the connection's to say.
struct Head {
  Kind kind = Kind::Unary;
  std::string_view method;                  ///< Borrowed: of the descriptor, or of the frame.
  std::optional<base::Duration> time_left;  ///< Empty: no deadline. Microseconds on the wire.
  Trace trace;
};

/// Appends a whole head frame.
void append_head(base::Bytes& out, const Head& head);
/// Of a head frame's payload. What a newer peer says beyond what we know is passed over.
/// Errors: DataLoss (cut short), InvalidArgument (a method name that cannot be one, an unknown
/// kind).
base::Result<Head> decode_head(base::BytesView payload);

/// Appends a whole status frame; null is success. What is too long is cut.
void append_status(base::Bytes& out, const base::Error* error);
/// Of a status frame's payload: success, or the peer's error in `status`. Errors: DataLoss.
base::Result<> decode_status(base::BytesView payload, base::Result<>& status);

}  // namespace stoq::rpc
