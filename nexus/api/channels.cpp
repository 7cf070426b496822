#include "api/channels.hpp"

#include <fmt/format.h>

#include <charconv>
#include <nlohmann/json.hpp>

#include "api/status_reader.hpp"

namespace nexus::api {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kResizeBytesMax = 256;

std::optional<std::uint16_t> dimension(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto value = found->get<std::uint64_t>();
  if (value > 0xffff) return std::nullopt;
  return static_cast<std::uint16_t>(value);
}

base::Result<ChannelMessage> decode_resize(base::BytesView data) {
  if (data.size() <= kResizeBytesMax) {
    const Json json = Json::parse(base::as_text(data), nullptr, false);
    if (json.is_object()) {
      const auto columns = dimension(json, "Width"), rows = dimension(json, "Height");
      if (columns && rows) return ChannelResize{*rows, *columns};
    }
  }
  return base::fail(base::Errc::InvalidArgument,
                    R"(a terminal's size is {"Width":columns,"Height":rows})");
}

base::Bytes with_channel(std::uint8_t channel, base::BytesView data) {
  base::Bytes message;
  message.reserve(data.size() + 1);
  message.push_back(channel);
  message.insert(message.end(), data.begin(), data.end());
  return message;
}

}  // namespace

base::Result<ChannelMessage> decode_channel_message(base::BytesView message) {
  if (message.empty())
    return base::fail(base::Errc::InvalidArgument, "a message without a channel");
  const base::BytesView data = message.subspan(1);
  switch (message[0]) {
    case 0:
    case 1:
    case 2:
    case 3:
      return ChannelData{static_cast<Channel>(message[0]), data};
    case 4:
      return decode_resize(data);
    case 255:
      if (data.size() == 1 && data[0] <= 4) return ChannelEnd{static_cast<Channel>(data[0])};
      return base::fail(base::Errc::InvalidArgument, "the end of a channel names one channel");
    default:
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("there is no channel {}", message[0]));
  }
}

base::Bytes encode_channel_data(Channel channel, base::BytesView data) {
  return with_channel(static_cast<std::uint8_t>(channel), data);
}

base::Bytes encode_channel_resize(std::uint16_t rows, std::uint16_t columns) {
  return with_channel(static_cast<std::uint8_t>(Channel::Resize),
                      base::as_bytes(fmt::format(R"({{"Width":{},"Height":{}}})", columns, rows)));
}

base::Bytes encode_channel_end(Channel channel) {
  const std::uint8_t ended = static_cast<std::uint8_t>(channel);
  return with_channel(static_cast<std::uint8_t>(Channel::Close), {&ended, 1});
}

std::string encode_outcome(int exit_code) {
  if (exit_code == 0) return R"({"metadata":{},"status":"Success"})";
  const Json status = {
      {"metadata", Json::object()},
      {"status", "Failure"},
      {"reason", "NonZeroExitCode"},
      {"message", fmt::format("command terminated with exit code {}", exit_code)},
      {"code", 500},
      {"details",
       {{"causes", {{{"reason", "ExitCode"}, {"message", std::to_string(exit_code)}}}}}}};
  return status.dump();
}

base::Result<int> decode_outcome(base::BytesView bytes) {
  const auto status = read_status(base::as_text(bytes));
  if (!status)
    return base::fail(base::Errc::DataLoss, "the outcome of the session is not a Status");
  if (status->success) return 0;
  if (status->reason == "NonZeroExitCode") {
    for (const StatusCause& cause : status->causes) {
      int code = 0;
      const char* end = cause.message.data() + cause.message.size();
      if (cause.reason == "ExitCode" &&
          std::from_chars(cause.message.data(), end, code).ptr == end) {
        return code;
      }
    }
  }
  return std::unexpected(status->error);
}

std::string_view choose_channel_protocol(std::string_view offered) {
  std::string_view best;
  while (!offered.empty()) {
    const auto comma = std::min(offered.find(','), offered.size());
    std::string_view one = offered.substr(0, comma);
    offered.remove_prefix(std::min(comma + 1, offered.size()));
    while (one.starts_with(' ')) one.remove_prefix(1);
    while (one.ends_with(' ')) one.remove_suffix(1);
    if (one == kChannelProtocolV5) return kChannelProtocolV5;
    if (one == kChannelProtocolV4) best = kChannelProtocolV4;
  }
  return best;
}

}  // namespace nexus::api
