#include "runtime/images/auth_config.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/images/bounded_json.hpp"

namespace hypermesh {
namespace {

using nlohmann::json;

constexpr JsonLimits kLimits{.bytes_max = 1u << 20, .depth_max = 8, .values_max = 10'000};

// "https://index.docker.io/v1/" -> docker.io; "registry.example.org/team" -> host and path.
std::pair<std::string, std::string> split_key(std::string_view key) {
  if (const auto scheme = key.find("://"); scheme != std::string_view::npos)
    key.remove_prefix(scheme + 3);
  const auto slash = key.find('/');
  std::string host(key.substr(0, slash));
  std::ranges::transform(host, host.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  std::string path(slash == std::string_view::npos ? "" : key.substr(slash + 1));
  while (path.ends_with('/')) path.pop_back();
  if (path == "v1" || path == "v2") path.clear();
  if (host == "index.docker.io" || host == "registry-1.docker.io") host = "docker.io";
  return {host, path};
}

base::Result<RegistrySecret> parse_secret(const JsonObject& object) {
  RegistrySecret out;
  TRY(const std::string packed, object.text("auth", 65536));
  if (!packed.empty()) {
    auto decoded = base::from_base64(packed);
    if (!decoded) return std::unexpected(object.wrong("auth", "is not base64"));
    const std::string_view plain = base::as_text(*decoded);
    const auto colon = plain.find(':');
    if (colon == std::string_view::npos)
      return std::unexpected(object.wrong("auth", "is not base64 of USER:PASSWORD"));
    out.user = plain.substr(0, colon);
    out.password = plain.substr(colon + 1);
    // Docker pads old files with NUL.
    while (out.password.ends_with('\0')) out.password.pop_back();
  }
  TRY(const std::string user, object.text("username"));
  TRY(const std::string password, object.text("password", 65536));
  if (!user.empty()) out.user = user;
  if (!password.empty()) out.password = password;
  TRY(out.identity_token, object.text("identitytoken", 65536));
  for (const std::string* text : {&out.user, &out.password, &out.identity_token}) {
    if (std::ranges::any_of(*text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; })) {
      return base::fail(base::Errc::InvalidArgument,
                        object.path() + ": user or password holds a line break or NUL");
    }
  }
  return out;
}

}  // namespace

base::Result<AuthConfig> AuthConfig::parse(std::string_view text) {
  TRY(const json document, parse_bounded_json(text, "registry credentials", kLimits));
  TRY(const JsonObject object, JsonObject::open(document, "registry credentials"));
  const bool modern = object.has("auths");
  if (!modern && (object.has("credsStore") || object.has("credHelpers"))) {
    return std::unexpected(base::with_hint(
        base::make_error(
            base::Errc::Unsupported,
            "registry credentials: they live in a helper program, which a node cannot ask"),
        "make a secret with the user and the password themselves"));
  }
  const json& auths = modern ? *object.member("auths") : document;
  TRY(const JsonObject all, JsonObject::open(auths, "registry credentials: auths"));
  AuthConfig out;
  for (const auto& item : auths.items()) {
    if (!modern && !item.value().is_object()) continue;
    TRY(const JsonObject entry,
        JsonObject::open(item.value(), fmt::format("registry credentials: auths[\"{}\"]",
                                                   item.key().substr(0, 200))));
    TRY(RegistrySecret secret, parse_secret(entry));
    if (secret.empty()) continue;  // what a login through a helper leaves behind
    auto [registry, path] = split_key(item.key());
    out.entries_.push_back({std::move(registry), std::move(path), std::move(secret)});
  }
  return out;
}

std::optional<RegistrySecret> AuthConfig::find(const ImageReference& reference) const {
  const Entry* best = nullptr;
  for (const Entry& entry : entries_) {
    if (entry.registry != reference.registry) continue;
    const bool covers = entry.path.empty() || entry.path == reference.repository ||
                        reference.repository.starts_with(entry.path + "/");
    if (covers && (!best || entry.path.size() > best->path.size())) best = &entry;
  }
  return best ? std::optional(best->secret) : std::nullopt;
}

}  // namespace hypermesh
