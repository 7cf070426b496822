#include "manifest/formats.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "manifest/quantity.hpp"

namespace nexus::manifest {

namespace {

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_letter(char c) {
  return is_lower(c) || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_lower_alnum(char c) {
  return is_lower(c) || is_digit(c);
}
bool is_alnum(char c) {
  return is_letter(c) || is_digit(c);
}

Complaint too_long(std::string_view text, std::size_t max) {
  if (text.size() <= max) return std::nullopt;
  return fmt::format("must be at most {} characters, has {}", max, text.size());
}

/// Letters and digits at both ends, `inner` too between them.
template <class End, class Inner>
bool is_framed(std::string_view text, End end, Inner inner) {
  return !text.empty() && end(text.front()) && end(text.back()) && std::ranges::all_of(text, inner);
}

bool is_dns_label(std::string_view text) {
  return is_framed(text, is_lower_alnum, [](char c) { return is_lower_alnum(c) || c == '-'; });
}

constexpr std::string_view kSubdomainForm =
    "must be lower case letters, digits, \"-\" and \".\", beginning and ending with a letter or "
    "digit";

bool is_subdomain(std::string_view text) {
  while (true) {
    const std::size_t dot = text.find('.');
    if (!is_dns_label(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_name_part(std::string_view text) {
  return is_framed(text, is_alnum,
                   [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool parses_as(int family, std::string_view text) {
  unsigned char buffer[sizeof(in6_addr)];
  return text.size() < INET6_ADDRSTRLEN && text.find('\0') == std::string_view::npos &&
         inet_pton(family, std::string(text).c_str(), buffer) == 1;
}

}  // namespace

bool is_ipv4(std::string_view text) {
  return parses_as(AF_INET, text);
}
bool is_ipv6(std::string_view text) {
  return parses_as(AF_INET6, text);
}

Complaint check_dns_label(std::string_view text) {
  if (auto wrong = too_long(text, 63)) return wrong;
  if (is_dns_label(text)) return std::nullopt;
  return "must be lower case letters, digits and \"-\", beginning and ending with a letter or "
         "digit";
}

Complaint check_dns_1035_label(std::string_view text) {
  if (auto wrong = too_long(text, 63)) return wrong;
  if (is_dns_label(text) && is_lower(text.front())) return std::nullopt;
  return "must be lower case letters, digits and \"-\", beginning with a letter and not ending "
         "with \"-\"";
}

Complaint check_dns_subdomain(std::string_view text) {
  if (auto wrong = too_long(text, 253)) return wrong;
  if (is_subdomain(text)) return std::nullopt;
  return std::string(kSubdomainForm);
}

Complaint check_label_key(std::string_view text) {
  const std::size_t slash = text.find('/');
  std::string_view name = text;
  if (slash != std::string_view::npos) {
    const std::string_view prefix = text.substr(0, slash);
    name = text.substr(slash + 1);
    if (prefix.size() > 253 || !is_subdomain(prefix)) {
      return fmt::format("has a prefix before \"/\" that {}", kSubdomainForm);
    }
  }
  if (name.size() <= 63 && is_name_part(name)) return std::nullopt;
  return "must have a name of 1 to 63 letters, digits, \"-\", \"_\" and \".\", beginning and "
         "ending with a letter "
         "or digit, after at most one prefix and \"/\"";
}

Complaint check_label_value(std::string_view text) {
  if (text.empty() || (text.size() <= 63 && is_name_part(text))) return std::nullopt;
  return "must be empty or up to 63 letters, digits, \"-\", \"_\" and \".\", beginning and ending "
         "with a letter or "
         "digit";
}

Complaint check_port_name(std::string_view text) {
  const bool form = text.size() <= 15 && is_dns_label(text) &&
                    std::ranges::any_of(text, is_lower) &&
                    text.find("--") == std::string_view::npos;
  if (form) return std::nullopt;
  return "must be up to 15 lower case letters, digits and \"-\" with at least one letter, not "
         "beginning or ending "
         "with \"-\"";
}

Complaint check_config_key(std::string_view text) {
  const bool form = !text.empty() && text.size() <= 253 && text != "." && !text.starts_with("..") &&
                    std::ranges::all_of(text, [](char c) {
                      return is_alnum(c) || c == '-' || c == '_' || c == '.';
                    });
  if (form) return std::nullopt;
  return "must be 1 to 253 letters, digits, \"-\", \"_\" and \".\", and not begin with \"..\"";
}

Complaint check_env_name(std::string_view text) {
  const bool form = !text.empty() && std::ranges::all_of(text, [](char c) {
    return c >= ' ' && c <= '~' && c != '=';
  });
  if (form) return std::nullopt;
  return "must be printable ASCII characters other than \"=\"";
}

Complaint check_env_prefix(std::string_view text) {
  return text.empty() ? std::nullopt : check_env_name(text);
}

Complaint check_resource_name(std::string_view text) {
  if (text == "cpu" || text == "memory" || text == "ephemeral-storage" ||
      text.starts_with("hugepages-")) {
    return std::nullopt;
  }
  if (text.find('/') == std::string_view::npos) {
    return "must be cpu, memory, ephemeral-storage, hugepages-SIZE or a name with a prefix such as "
           "example.com/device";
  }
  return check_label_key(text);
}

Complaint check_ip(std::string_view text) {
  if (is_ipv4(text) || is_ipv6(text)) return std::nullopt;
  return "must be an IPv4 or IPv6 address";
}

Complaint check_absolute_path(std::string_view text) {
  if (text.size() > 4096) return too_long(text, 4096);
  if (text.starts_with('/') && text.find('\0') == std::string_view::npos) return std::nullopt;
  return "must be a path that begins with \"/\"";
}

Complaint check_no_parent(std::string_view text) {
  while (!text.empty()) {
    const std::size_t slash = std::min(text.find('/'), text.size());
    if (text.substr(0, slash) == "..") return "must not contain \"..\"";
    text.remove_prefix(std::min(slash + 1, text.size()));
  }
  return std::nullopt;
}

Complaint check_relative_path(std::string_view text) {
  if (text.size() > 4096) return too_long(text, 4096);
  if (text.starts_with('/')) return "must not begin with \"/\"";
  if (text.find('\0') != std::string_view::npos) return "must not contain a zero byte";
  return check_no_parent(text);
}

Complaint check_image(std::string_view text) {
  if (text.size() > 1024) return too_long(text, 1024);
  if (text.empty()) return "must name an image, such as nginx:1.27";
  const bool clean = std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
  if (!clean) return "must not contain spaces or control characters";
  return std::nullopt;
}

Complaint check_quantity(std::string_view text) {
  const auto parsed = Quantity::parse(text);
  if (parsed) return std::nullopt;
  return fmt::format("is not a quantity: {}", parsed.error().hints.empty()
                                                  ? parsed.error().message
                                                  : parsed.error().hints[0]);
}

Complaint check_base64(std::string_view text) {
  std::size_t symbols = 0, pads = 0;
  for (char c : text) {
    if (c == '\n' || c == '\r') continue;
    if (c == '=') {
      ++pads;
      continue;
    }
    if (pads > 0 || !(is_alnum(c) || c == '+' || c == '/')) return "must be base64";
    ++symbols;
  }
  if (pads > 2 || (symbols + pads) % 4 != 0 || symbols % 4 == 1)
    return "must be base64 with its padding";
  return std::nullopt;
}

Complaint check_timestamp(std::string_view text) {
  const auto digits = [&](std::size_t from, std::size_t count) {
    return text.size() >= from + count && std::ranges::all_of(text.substr(from, count), is_digit);
  };
  const auto is = [&](std::size_t at, std::string_view any) {
    return at < text.size() && any.find(text[at]) != std::string_view::npos;
  };
  bool good = digits(0, 4) && is(4, "-") && digits(5, 2) && is(7, "-") && digits(8, 2) &&
              is(10, "Tt ") && digits(11, 2) && is(13, ":") && digits(14, 2) && is(16, ":") &&
              digits(17, 2);
  std::size_t at = 19;
  if (good && is(at, ".")) {
    ++at;
    const std::size_t first = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    good = at > first;
  }
  if (good && is(at, "Zz")) {
    good = at + 1 == text.size();
  } else if (good) {
    good = is(at, "+-") && digits(at + 1, 2) && is(at + 3, ":") && digits(at + 4, 2) &&
           text.size() == at + 6;
  }
  if (good) return std::nullopt;
  return "must be a time such as 2026-03-01T12:00:00Z";
}

}  // namespace nexus::manifest
