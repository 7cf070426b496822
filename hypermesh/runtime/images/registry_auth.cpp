#include "runtime/images/registry_auth.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/images/auth_challenge.hpp"
#include "runtime/images/bounded_json.hpp"

namespace hypermesh {
namespace {

constexpr std::size_t kRememberedMax = 256;
constexpr std::size_t kTokenBytesMax = 32u << 10;

std::string basic(const RegistrySecret& secret) {
  return "Basic " + base::to_base64(base::as_bytes(secret.user + ":" + secret.password));
}

const AuthChallenge* find(const std::vector<AuthChallenge>& all, std::string_view scheme) {
  const auto it = std::ranges::find(all, scheme, &AuthChallenge::scheme);
  return it == all.end() ? nullptr : &*it;
}

}  // namespace

std::string RegistryAuth::key(const ImageReference& repository,
                              const std::optional<RegistrySecret>& secret) {
  // Two users of one repository must not see each other's token.
  const std::string who =
      secret
          ? digest_of(secret->user + '\0' + secret->password + '\0' + secret->identity_token).hex()
          : "";
  return repository.name() + " " + who;
}

std::string RegistryAuth::authorization(const ImageReference& repository,
                                        const std::optional<RegistrySecret>& secret) const {
  const std::lock_guard lock(mutex_);
  const auto it = remembered_.find(key(repository, secret));
  return it == remembered_.end() ? std::string() : it->second;
}

void RegistryAuth::forget(const ImageReference& repository,
                          const std::optional<RegistrySecret>& secret) {
  const std::lock_guard lock(mutex_);
  remembered_.erase(key(repository, secret));
}

base::Result<> RegistryAuth::answer(const HttpAnswer& refusal, const std::string& registry_url,
                                    const ImageReference& repository,
                                    const std::optional<RegistrySecret>& secret,
                                    HttpSession& session, const CancelToken& cancel) {
  std::vector<AuthChallenge> challenges;
  if (const auto it = refusal.headers.find("www-authenticate"); it != refusal.headers.end()) {
    for (const auto& value : it->second) {
      TRY(const auto some, parse_www_authenticate(value));
      challenges.insert(challenges.end(), some.begin(), some.end());
    }
  }
  std::string header;
  if (const AuthChallenge* bearer = find(challenges, "bearer")) {
    TRY(const std::string token,
        fetch_token(*bearer, registry_url, repository, secret, session, cancel));
    header = "Bearer " + token;
  } else if (find(challenges, "basic")) {
    if (!secret || secret->user.empty()) {
      return std::unexpected(base::with_hint(
          base::make_error(base::Errc::Forbidden,
                           fmt::format("{} wants a user and a password", repository.registry)),
          "give credentials for this registry (imagePullSecrets)"));
    }
    header = basic(*secret);
  } else {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("{} refuses without offering bearer or basic authentication",
                                  repository.registry));
  }
  const std::lock_guard lock(mutex_);
  if (remembered_.size() >= kRememberedMax) remembered_.clear();
  remembered_[key(repository, secret)] = std::move(header);
  return {};
}

base::Result<std::string> RegistryAuth::fetch_token(const AuthChallenge& challenge,
                                                    const std::string& registry_url,
                                                    const ImageReference& repository,
                                                    const std::optional<RegistrySecret>& secret,
                                                    HttpSession& session,
                                                    const CancelToken& cancel) {
  const auto parameter = [&](const char* name) {
    const auto it = challenge.parameters.find(name);
    return it == challenge.parameters.end() ? std::string() : it->second;
  };
  const std::string realm = parameter("realm");
  TRY(const UrlParts service_url, split_url(realm));
  TRY(const UrlParts registry, split_url(registry_url));
  // Credentials go there. Only a registry of this machine may have a token service without TLS, on
  // this machine.
  const bool plain_allowed =
      registry.loopback && service_url.loopback && service_url.scheme == "http";
  if (service_url.scheme != "https" && !plain_allowed) {
    return base::fail(base::Errc::Forbidden,
                      fmt::format("{} sends us to a token service without TLS: {}",
                                  repository.registry, realm.substr(0, 300)));
  }
  std::string scope = parameter("scope");
  if (scope.empty()) scope = fmt::format("repository:{}:pull", repository.repository);
  std::string query =
      fmt::format("service={}&scope={}", url_escape(parameter("service")), url_escape(scope));

  HttpRequest request{.url = realm};
  if (secret && !secret->identity_token.empty()) {
    request.method = "POST";
    request.headers.push_back("Content-Type: application/x-www-form-urlencoded");
    request.body = fmt::format("grant_type=refresh_token&client_id=hypermesh&{}&refresh_token={}",
                               query, url_escape(secret->identity_token));
  } else {
    request.url += (realm.find('?') == std::string::npos ? "?" : "&") + query;
    if (secret && !secret->user.empty())
      request.headers.push_back("Authorization: " + basic(*secret));
  }
  TRY(const HttpAnswer answer, session.perform(request, cancel));
  if (answer.status == 401 || answer.status == 403) {
    return std::unexpected(base::with_hint(
        base::make_error(base::Errc::Forbidden,
                         fmt::format("the token service {} refuses {} ({})", service_url.authority,
                                     secret ? "these credentials" : "a pull without credentials",
                                     answer.status)),
        "check the credentials for this registry (imagePullSecrets)"));
  }
  if (answer.status != 200) {
    const bool later = answer.status == 429 || answer.status >= 500;
    return base::fail(
        later ? base::Errc::Unavailable : base::Errc::Forbidden,
        fmt::format("the token service {} answers {}", service_url.authority, answer.status));
  }
  const std::string what = fmt::format("token of {}", service_url.authority);
  TRY(const auto document, parse_bounded_json(answer.body, what, {.bytes_max = 64u << 10}));
  TRY(const JsonObject object, JsonObject::open(document, what));
  TRY(std::string token, object.text("token", kTokenBytesMax));
  if (token.empty()) {
    TRY(token, object.required_text("access_token", kTokenBytesMax));
  }
  // It becomes a header.
  if (!std::ranges::all_of(token, [](char c) { return c > 0x20 && c < 0x7f; })) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{} holds characters that no token has", what));
  }
  return token;
}

}  // namespace hypermesh
