#include "dns/name.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

namespace nexus::dns {

using base::Errc;
using base::fail;

base::Result<std::string> to_wire(std::string_view text) {
  std::string wire;
  if (text.ends_with('.')) text.remove_suffix(1);
  while (!text.empty()) {
    const std::size_t dot = std::min(text.find('.'), text.size());
    if (dot == 0 || dot > kLabelBytesMax || (dot < text.size() && dot + 1 == text.size())) {
      return fail(Errc::InvalidArgument,
                  fmt::format("\"{}\" is not a domain name: a label has 1 to 63 bytes",
                              text.substr(0, 80)));
    }
    wire += static_cast<char>(dot);
    wire += text.substr(0, dot);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  wire += '\0';
  if (wire.size() > kNameBytesMax) {
    return fail(Errc::InvalidArgument,
                fmt::format("a domain name has at most {} bytes, this one has {}", kNameBytesMax,
                            wire.size()));
  }
  return wire;
}

std::string to_text(std::string_view wire) {
  std::string text;
  while (!wire.empty() && wire.front() != '\0') {
    const auto length = static_cast<std::size_t>(static_cast<unsigned char>(wire.front()));
    if (length + 1 > wire.size()) break;
    if (!text.empty()) text += '.';
    for (const char c : wire.substr(1, length)) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '.' || c == '\\') {
        text += '\\';
        text += c;
      } else if (byte <= 0x20 || byte >= 0x7f) {
        text += fmt::format("\\{:03}", byte);
      } else {
        text += c;
      }
    }
    wire.remove_prefix(length + 1);
  }
  return text.empty() ? "." : text;
}

std::string lower_case(std::string_view wire) {
  std::string lower(wire);
  // Length bytes are at most 63 and thus never letters.
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
  }
  return lower;
}

std::string_view parent(std::string_view wire) {
  if (wire.size() <= 1) return {};
  return wire.substr(std::min(
      wire.size(), static_cast<std::size_t>(static_cast<unsigned char>(wire.front())) + 1));
}

bool is_within(std::string_view wire, std::string_view apex) {
  while (wire.size() > apex.size()) wire = parent(wire);
  return wire == apex;
}

base::Result<std::string> read_name(base::BytesView message, std::size_t& offset) {
  std::string name;
  std::size_t at = offset;
  std::size_t lowest = offset;  // A pointer must lead before everything read so far: no loops.
  bool jumped = false;
  for (;;) {
    if (at >= message.size())
      return fail(Errc::DataLoss, "a name runs past the end of the message");
    const std::uint8_t length = message[at];
    if ((length & 0xc0) == 0xc0) {
      if (at + 1 >= message.size())
        return fail(Errc::DataLoss, "a pointer runs past the end of the message");
      const std::size_t target = static_cast<std::size_t>(length & 0x3f) << 8 | message[at + 1];
      if (target >= lowest)
        return fail(Errc::DataLoss, "a compression pointer does not lead backwards");
      if (!jumped) offset = at + 2;
      jumped = true;
      lowest = target;
      at = target;
      continue;
    }
    if (length > kLabelBytesMax) return fail(Errc::DataLoss, "a label has a reserved length");
    if (at + 1 + length > message.size())
      return fail(Errc::DataLoss, "a label runs past the end of the message");
    name.append(reinterpret_cast<const char*>(message.data() + at),
                static_cast<std::size_t>(length) + 1);
    if (name.size() > kNameBytesMax) return fail(Errc::DataLoss, "a name is longer than 255 bytes");
    at += static_cast<std::size_t>(length) + 1;
    if (length == 0) break;
  }
  if (!jumped) offset = at;
  return name;
}

base::Result<std::string> reverse_name(std::string_view address) {
  const std::string text(address);
  unsigned char bytes[16];
  std::string name;
  if (inet_pton(AF_INET6, text.c_str(), bytes) == 1) {
    for (int i = 15; i >= 0; --i) name += fmt::format("{:x}.{:x}.", bytes[i] & 15, bytes[i] >> 4);
    return name + "ip6.arpa";
  }
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) {
    return fmt::format("{}.{}.{}.{}.in-addr.arpa", bytes[3], bytes[2], bytes[1], bytes[0]);
  }
  return fail(Errc::InvalidArgument,
              fmt::format("\"{}\" is not an IP address", text.substr(0, 80)));
}

}  // namespace nexus::dns
