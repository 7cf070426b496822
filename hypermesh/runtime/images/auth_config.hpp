#pragma once

#include <base/error.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/images/reference.hpp"

namespace hypermesh {

/// What a registry is shown. Kept in memory only for the time of a pull, never logged.
struct RegistrySecret {
  std::string user, password;
  std::string identity_token;  ///< A refresh token (OAuth 2), in place of a password.

  bool empty() const { return user.empty() && password.empty() && identity_token.empty(); }
  bool operator==(const RegistrySecret&) const = default;
};

/// Credentials as `docker login` writes them and Kubernetes' imagePullSecrets carry them
/// (kubernetes.io/dockerconfigjson, and the older kubernetes.io/dockercfg without "auths").
class AuthConfig {
 public:
  /// Errors: InvalidArgument (malformed), Unsupported (credentials live in a helper program).
  static base::Result<AuthConfig> parse(std::string_view json);

  /// The entry whose host, and path if it has one, cover `reference`: the longest path wins.
  std::optional<RegistrySecret> find(const ImageReference& reference) const;
  std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::string registry;  // "docker.io", "[::1]:5000"
    std::string path;      // "team/web" or empty
    RegistrySecret secret;
  };
  std::vector<Entry> entries_;
};

}  // namespace hypermesh
