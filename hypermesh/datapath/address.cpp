#include "datapath/address.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace hypermesh::datapath {

IpAddress IpAddress::v4(std::uint8_t a, std::uint8_t b, std::uint8_t c, std::uint8_t d) {
  IpAddress address;
  address.family_ = Family::Ipv4;
  address.bytes_ = {a, b, c, d};
  return address;
}

base::Result<IpAddress> IpAddress::from_bytes(base::BytesView bytes) {
  if (bytes.size() != 4 && bytes.size() != 16) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("an address has 4 or 16 bytes, not {}", bytes.size()));
  }
  IpAddress address;
  address.family_ = bytes.size() == 4 ? Family::Ipv4 : Family::Ipv6;
  std::ranges::copy(bytes, address.bytes_.begin());
  return address;
}

base::Result<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress address;
  const std::string copy(text.substr(0, INET6_ADDRSTRLEN + 1));
  // A NUL inside would end the text early for inet_pton.
  const bool whole = copy.size() == text.size() && copy.find('\0') == std::string::npos;
  if (whole && inet_pton(AF_INET6, copy.c_str(), address.bytes_.data()) == 1) return address;
  address.bytes_ = {};
  address.family_ = Family::Ipv4;
  if (whole && inet_pton(AF_INET, copy.c_str(), address.bytes_.data()) == 1) return address;
  return base::fail(base::Errc::InvalidArgument,
                    fmt::format("\"{}\" is not an IPv4 or IPv6 address", text.substr(0, 64)));
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v6() ? AF_INET6 : AF_INET, bytes_.data(), text, sizeof text);
  return text;
}

std::string IpAddress::to_host() const {
  return is_v6() ? "[" + to_string() + "]" : to_string();
}

IpAddress IpAddress::plus(std::uint64_t offset) const {
  IpAddress sum = *this;
  for (int i = static_cast<int>(bytes().size()) - 1; i >= 0 && offset != 0; --i) {
    const std::uint64_t byte = sum.bytes_[i] + (offset & 0xff);
    sum.bytes_[i] = static_cast<std::uint8_t>(byte);
    offset = (offset >> 8) + (byte >> 8);
  }
  BASE_ASSERT(offset == 0, "the sum of address and offset leaves the family's range");
  return sum;
}

IpAddress IpAddress::masked(int length) const {
  BASE_ASSERT(length >= 0 && length <= bits(), "prefix length fits the family");
  IpAddress result = *this;
  for (int i = 0; i < bits() / 8; ++i) {
    const int kept = std::clamp(length - i * 8, 0, 8);
    result.bytes_[i] &= static_cast<std::uint8_t>(0xff00 >> kept);
  }
  return result;
}

base::Result<IpPrefix> IpPrefix::parse(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("\"{}\" has no prefix length; write address/length", text.substr(0, 64)));
  }
  TRY(const IpAddress address, IpAddress::parse(text.substr(0, slash)));
  const std::string_view digits = text.substr(slash + 1);
  int length = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc() || end != digits.data() + digits.size() || length < 0 ||
      length > address.bits()) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("prefix length of \"{}\" is not a number from 0 to {}",
                                  text.substr(0, 64), address.bits()));
  }
  if (address.masked(length) != address) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("\"{}\" has bits set after its prefix; the prefix is {}/{}", text,
                                  address.masked(length).to_string(), length));
  }
  return IpPrefix{address, length};
}

std::string IpPrefix::to_string() const {
  return fmt::format("{}/{}", address.to_string(), length);
}

bool IpPrefix::contains(const IpAddress& other) const {
  return other.family() == address.family() && other.masked(length) == address;
}

bool IpPrefix::overlaps(const IpPrefix& other) const {
  return length <= other.length ? contains(other.address) : other.contains(address);
}

}  // namespace hypermesh::datapath
