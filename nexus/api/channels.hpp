#pragma once

// The messages of exec, attach and port-forward: the first byte is a channel (docs/wire/api.md;
// Kubernetes' v4.channel.k8s.io and v5.channel.k8s.io). Both ends use this.

#include <base/bytes.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace nexus::api {

enum class Channel : std::uint8_t {
  Input = 0,
  Output = 1,
  ErrorOutput = 2,
  Outcome = 3,
  Resize = 4,
  Close = 255
};

inline constexpr std::string_view kChannelProtocolV5 = "v5.channel.k8s.io";
inline constexpr std::string_view kChannelProtocolV4 = "v4.channel.k8s.io";
/// What one message carries at most; longer data is cut into several.
inline constexpr std::size_t kChannelDataBytesMax = 256 * 1024;

struct ChannelData {
  Channel channel = Channel::Input;
  base::BytesView data;  ///< Into the message.
};
struct ChannelResize {
  std::uint16_t rows = 0, columns = 0;
};
/// The sender sends no more on `channel`.
struct ChannelEnd {
  Channel channel = Channel::Input;
};
using ChannelMessage = std::variant<ChannelData, ChannelResize, ChannelEnd>;

/// Errors: InvalidArgument (empty, unknown channel, a resize that is none).
base::Result<ChannelMessage> decode_channel_message(base::BytesView message);

base::Bytes encode_channel_data(Channel channel, base::BytesView data);
base::Bytes encode_channel_resize(std::uint16_t rows, std::uint16_t columns);
base::Bytes encode_channel_end(Channel channel);

/// How a session ended, as channel Outcome says it: an exit code, or what went wrong.
/// Errors: whatever the other side says; DataLoss (not a Status).
base::Result<int> decode_outcome(base::BytesView status);
std::string encode_outcome(int exit_code);

/// The best of the offered subprotocols; empty when there is none that is spoken here.
std::string_view choose_channel_protocol(std::string_view offered);

}  // namespace nexus::api
