#include "commands/stoq_target.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/config/units.hpp>
#include <charconv>
#include <cmath>

namespace cli {

namespace {

base::Error not_a_target(std::string_view text, std::string_view why) {
  return base::with_hint(
      base::make_error(base::Errc::InvalidArgument, fmt::format("\"{}\": {}", text, why)),
      "a node is named [NODE@]HOST[:PORT], for example [2001:db8::1]:9292");
}

}  // namespace

base::Result<StoqTarget> parse_stoq_target(std::string_view text) {
  StoqTarget target;
  target.port = kStoqPort;
  std::string_view rest = text;
  if (const auto at = rest.find('@'); at != rest.npos) {
    const auto node = stoq::NodeId::parse(rest.substr(0, at));
    if (!node) return std::unexpected(not_a_target(text, node.error().message));
    target.node = *node;
    rest.remove_prefix(at + 1);
  }
  std::string_view port;
  if (rest.starts_with('[')) {
    const auto end = rest.find(']');
    if (end == rest.npos) return std::unexpected(not_a_target(text, "a bracket is not closed"));
    target.host = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (!rest.empty() && rest[0] != ':')
      return std::unexpected(not_a_target(text, "a port begins with a colon"));
    if (!rest.empty()) port = rest.substr(1);
    if (!rest.empty() && port.empty())
      return std::unexpected(not_a_target(text, "there is no port after the colon"));
  } else if (std::ranges::count(rest, ':') == 1) {
    const auto colon = rest.find(':');
    target.host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
    if (port.empty())
      return std::unexpected(not_a_target(text, "there is no port after the colon"));
  } else {
    target.host = rest;  // Several colons: an IPv6 address without a port.
  }
  if (target.host.empty()) return std::unexpected(not_a_target(text, "there is no address"));
  if (!port.empty()) {
    const auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), target.port);
    if (failed != std::errc() || end != port.data() + port.size() || target.port == 0)
      return std::unexpected(
          not_a_target(text, fmt::format("\"{}\" is not a port from 1 to 65535", port)));
  }
  return target;
}

RoundTrips summarize(std::vector<base::Duration> took) {
  std::ranges::sort(took);
  const auto at = [&](double share) {
    return took[static_cast<std::size_t>(
        std::lround(share * static_cast<double>(took.size() - 1)))];
  };
  return {took.front(), at(0.5), at(0.99), took.back()};
}

}  // namespace cli
