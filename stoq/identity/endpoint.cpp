#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <stoq/types.hpp>

namespace stoq {

namespace {

// RFC 4291, section 2.5.5.2.
constexpr std::uint8_t kMapped[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

base::Result<Endpoint> Endpoint::of(std::string_view address, std::uint16_t port) {
  Endpoint made;
  made.port = port;
  const std::string text(address);
  if (inet_pton(AF_INET6, text.c_str(), made.address.data()) == 1) return made;
  std::ranges::copy(kMapped, made.address.begin());
  if (inet_pton(AF_INET, text.c_str(), made.address.data() + sizeof kMapped) == 1) return made;
  return base::fail(base::Errc::InvalidArgument,
                    fmt::format("\"{}\" is not an IP address", address));
}

std::string Endpoint::text() const {
  char buffer[INET6_ADDRSTRLEN];
  if (std::ranges::equal(kMapped, std::span(address).first(sizeof kMapped))) {
    inet_ntop(AF_INET, address.data() + sizeof kMapped, buffer, sizeof buffer);
    return fmt::format("{}:{}", buffer, port);
  }
  inet_ntop(AF_INET6, address.data(), buffer, sizeof buffer);
  return fmt::format("[{}]:{}", buffer, port);
}

}  // namespace stoq
