#include "runtime/images/reference.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace hypermesh {
namespace {

constexpr std::size_t kReferenceBytesMax = 1024;
constexpr std::size_t kNameBytesMax = 255;  // registry and repository together, as in distribution
constexpr std::size_t kTagBytesMax = 128;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_lower_alnum(char c) {
  return is_digit(c) || is_lower(c);
}
bool is_alnum(char c) {
  return is_lower_alnum(c) || is_upper(c);
}

base::Error bad(std::string_view text, std::string_view why) {
  return base::with_hint(
      base::make_error(base::Errc::InvalidArgument,
                       fmt::format("\"{}\" is not an image name: {}", text.substr(0, 200), why)),
      "write [REGISTRY[:PORT]/]REPOSITORY[:TAG][@sha256:DIGEST], for example nginx:1.27 or "
      "[::1]:5000/team/web:2");
}

std::optional<std::array<std::uint8_t, 4>> parse_ipv4(std::string_view text) {
  std::array<std::uint8_t, 4> out{};
  for (std::size_t i = 0; i < 4; ++i) {
    std::size_t digits = 0;
    unsigned value = 0;
    while (digits < text.size() && is_digit(text[digits]) && digits < 3)
      value = value * 10 + unsigned(text[digits++] - '0');
    if (digits == 0 || value > 255 || (digits > 1 && text[0] == '0')) return std::nullopt;
    out[i] = std::uint8_t(value);
    text.remove_prefix(digits);
    if (i < 3) {
      if (text.empty() || text[0] != '.') return std::nullopt;
      text.remove_prefix(1);
    }
  }
  return text.empty() ? std::optional(out) : std::nullopt;
}

std::optional<unsigned> parse_group(std::string_view text) {
  if (text.empty() || text.size() > 4) return std::nullopt;
  unsigned value = 0;
  for (char c : text) {
    const char lower = is_upper(c) ? char(c - 'A' + 'a') : c;
    if (is_digit(lower))
      value = value * 16 + unsigned(lower - '0');
    else if (lower >= 'a' && lower <= 'f')
      value = value * 16 + unsigned(lower - 'a' + 10);
    else
      return std::nullopt;
  }
  return value;
}

// Groups of one side of "::", the last one perhaps in dotted form.
std::optional<std::size_t> parse_groups(std::string_view text, std::array<unsigned, 8>& out) {
  std::size_t count = 0;
  while (!text.empty()) {
    const auto colon = text.find(':');
    const auto piece = text.substr(0, colon);
    if (colon == std::string_view::npos && piece.find('.') != std::string_view::npos) {
      const auto v4 = parse_ipv4(piece);
      if (!v4 || count > 6) return std::nullopt;
      out[count++] = unsigned((*v4)[0]) << 8 | (*v4)[1];
      out[count++] = unsigned((*v4)[2]) << 8 | (*v4)[3];
      return count;
    }
    const auto group = parse_group(piece);
    if (!group || count > 7) return std::nullopt;
    out[count++] = *group;
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
    if (text.empty()) return std::nullopt;
  }
  return count;
}

// RFC 4291 section 2.2, without zones.
std::optional<std::array<unsigned, 8>> parse_ipv6(std::string_view text) {
  if (text.size() > 45) return std::nullopt;
  std::array<unsigned, 8> groups{};
  const auto gap = text.find("::");
  if (gap == std::string_view::npos) {
    return parse_groups(text, groups) == std::size_t(8) ? std::optional(groups) : std::nullopt;
  }
  if (text.find("::", gap + 1) != std::string_view::npos) return std::nullopt;
  if (text.substr(0, gap).find('.') != std::string_view::npos) return std::nullopt;
  std::array<unsigned, 8> tail{};
  const auto head_count = parse_groups(text.substr(0, gap), groups);
  const auto tail_count = parse_groups(text.substr(gap + 2), tail);
  if (!head_count || !tail_count || *head_count + *tail_count > 7) return std::nullopt;
  std::copy_n(tail.begin(), *tail_count, groups.end() - std::ptrdiff_t(*tail_count));
  return groups;
}

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > 253) return false;
  while (true) {
    const auto dot = host.find('.');
    const auto label = host.substr(0, dot);
    if (label.empty() || label.size() > 63 || !is_alnum(label.front()) || !is_alnum(label.back()))
      return false;
    if (!std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-'; })) return false;
    if (dot == std::string_view::npos) return true;
    host.remove_prefix(dot + 1);
  }
}

base::Result<std::uint16_t> parse_port(std::string_view whole, std::string_view text) {
  unsigned value = 0;
  if (text.empty() || text.size() > 5 || !std::ranges::all_of(text, is_digit)) {
    return std::unexpected(bad(whole, fmt::format("\"{}\" is not a port number", text)));
  }
  for (char c : text) value = value * 10 + unsigned(c - '0');
  if (value == 0 || value > 65535) {
    return std::unexpected(bad(whole, fmt::format("port {} is not in 1 to 65535", value)));
  }
  return std::uint16_t(value);
}

struct HostPort {
  std::string host;
  std::uint16_t port = 0;
  bool ipv6 = false;
};

base::Result<HostPort> parse_host_port(std::string_view whole, std::string_view text) {
  HostPort out;
  std::string_view rest;
  if (text.starts_with('[')) {
    const auto close = text.find(']');
    if (close == std::string_view::npos) return std::unexpected(bad(whole, "\"[\" without \"]\""));
    const auto literal = text.substr(1, close - 1);
    if (!parse_ipv6(literal)) {
      return std::unexpected(bad(whole, fmt::format("\"{}\" is not an IPv6 address", literal)));
    }
    out.host = literal;
    out.ipv6 = true;
    rest = text.substr(close + 1);
    if (!rest.empty() && !rest.starts_with(':')) {
      return std::unexpected(
          bad(whole, fmt::format("\"{}\" follows the address; a port is written \":5000\"", rest)));
    }
  } else {
    const auto colon = text.find(':');
    out.host = text.substr(0, colon);
    if (colon != std::string_view::npos) rest = text.substr(colon);
    if (!is_host_name(out.host)) {
      return std::unexpected(bad(whole, fmt::format("\"{}\" is not a host name", out.host)));
    }
  }
  if (!rest.empty()) {
    TRY(out.port, parse_port(whole, rest.substr(1)));
  }
  std::ranges::transform(out.host, out.host.begin(),
                         [](char c) { return is_upper(c) ? char(c - 'A' + 'a') : c; });
  return out;
}

// [a-z0-9]+ joined by ".", "_", "__" or any number of "-".
bool is_path_component(std::string_view text) {
  std::size_t i = 0;
  while (true) {
    const std::size_t start = i;
    while (i < text.size() && is_lower_alnum(text[i])) ++i;
    if (i == start) return false;
    if (i == text.size()) return true;
    const char separator = text[i];
    std::size_t run = 0;
    while (i < text.size() && text[i] == separator) ++i, ++run;
    if (separator == '.' ? run != 1 : separator == '_' ? run > 2 : separator != '-') return false;
  }
}

base::Result<> check_repository(std::string_view whole, std::string_view repository) {
  std::string_view rest = repository;
  while (true) {
    const auto slash = rest.find('/');
    const auto component = rest.substr(0, slash);
    if (!is_path_component(component)) {
      if (std::ranges::any_of(component, is_upper)) {
        return std::unexpected(bad(
            whole,
            fmt::format("\"{}\" has upper-case letters; repositories are lower case", component)));
      }
      return std::unexpected(
          bad(whole, fmt::format("\"{}\" is not a part of a repository's name: lower-case letters "
                                 "and digits, joined by \".\", \"_\", \"__\" or \"-\"",
                                 component)));
    }
    if (slash == std::string_view::npos) return {};
    rest.remove_prefix(slash + 1);
  }
}

bool is_tag(std::string_view text) {
  const auto word = [](char c) { return is_alnum(c) || c == '_'; };
  return !text.empty() && text.size() <= kTagBytesMax && word(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return word(c) || c == '.' || c == '-'; });
}

// The first part names a registry if it cannot be a part of a repository, or is "localhost".
bool names_registry(std::string_view first) {
  return first == "localhost" || first.starts_with('[') ||
         first.find('.') != std::string_view::npos || first.find(':') != std::string_view::npos;
}

}  // namespace

std::string ImageReference::text() const {
  std::string out = name();
  if (!tag.empty()) out += ":" + tag;
  if (digest) out += "@" + digest->text();
  return out;
}

base::Result<ImageReference> parse_reference(std::string_view text) {
  if (text.empty()) return std::unexpected(bad(text, "it is empty"));
  if (text.size() > kReferenceBytesMax) {
    return std::unexpected(bad(text, fmt::format("it has {} bytes; at most {} are allowed",
                                                 text.size(), kReferenceBytesMax)));
  }
  if (text.find("://") != std::string_view::npos) {
    return std::unexpected(bad(text, "it is a URL; leave out the scheme"));
  }
  ImageReference out;
  std::string_view rest = text;
  if (const auto at = rest.find('@'); at != std::string_view::npos) {
    auto digest = parse_digest(rest.substr(at + 1));
    if (!digest) return std::unexpected(bad(text, digest.error().message));
    out.digest = *digest;
    rest = rest.substr(0, at);
  }
  if (const auto slash = rest.find('/');
      slash != std::string_view::npos && names_registry(rest.substr(0, slash))) {
    TRY(const HostPort where, parse_host_port(text, rest.substr(0, slash)));
    out.registry = where.ipv6 ? "[" + where.host + "]" : where.host;
    if (where.port) out.registry += fmt::format(":{}", where.port);
    if (out.registry == "index.docker.io") out.registry = "docker.io";
    rest.remove_prefix(slash + 1);
  } else {
    out.registry = "docker.io";
  }
  if (const auto colon = rest.rfind(':'); colon != std::string_view::npos) {
    const auto tag = rest.substr(colon + 1);
    if (!is_tag(tag)) {
      return std::unexpected(
          bad(text, fmt::format("\"{}\" is not a tag: at most {} letters, digits, \"_\", \".\" or "
                                "\"-\", beginning with none of the last two",
                                tag.substr(0, 160), kTagBytesMax)));
    }
    out.tag = tag;
    rest = rest.substr(0, colon);
  } else if (!out.digest) {
    out.tag = "latest";
  }
  if (rest.empty()) return std::unexpected(bad(text, "the repository is missing"));
  TRY_DO(check_repository(text, rest));
  if (out.registry == "docker.io" && rest.find('/') == std::string_view::npos) {
    if (parse_digest_hex(rest))
      return std::unexpected(bad(text, "64 hex digits are an id, not a name"));
    out.repository = "library/";
  }
  out.repository += rest;
  if (out.registry.size() + 1 + out.repository.size() > kNameBytesMax) {
    return std::unexpected(
        bad(text, fmt::format("registry and repository have more than {} bytes", kNameBytesMax)));
  }
  return out;
}

std::string RegistryAddress::authority() const {
  std::string out = ipv6_literal ? "[" + host + "]" : host;
  if (port) out += fmt::format(":{}", port);
  return out;
}

base::Result<RegistryAddress> registry_address(std::string_view registry) {
  if (registry == "docker.io") registry = "registry-1.docker.io";
  TRY(HostPort where, parse_host_port(registry, registry));
  const bool loopback = is_loopback_host(where.host);
  return RegistryAddress{std::move(where.host), where.port, where.ipv6, loopback};
}

bool is_loopback_host(std::string_view host) {
  if (host == "localhost") return true;
  if (const auto v4 = parse_ipv4(host)) return (*v4)[0] == 127;
  const auto v6 = parse_ipv6(host);
  return v6 && *v6 == std::array<unsigned, 8>{0, 0, 0, 0, 0, 0, 0, 1};
}

}  // namespace hypermesh
