#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>

#include "runtime/images/auth_challenge.hpp"
#include "runtime/images/auth_config.hpp"
#include "runtime/images/http_session.hpp"

namespace hypermesh {

/// Gets and remembers what registries want to see in Authorization. Thread safe.
class RegistryAuth {
 public:
  /// What to send now; empty: nothing yet.
  std::string authorization(const ImageReference& repository,
                            const std::optional<RegistrySecret>& secret) const;

  /// Answers a 401: finds a way in that the registry offers, asks its token service. `registry_url`
  /// is what answered so. Errors: Forbidden (no credentials fit: hints), Unsupported (no known
  /// scheme), those of the token service.
  base::Result<> answer(const HttpAnswer& refusal, const std::string& registry_url,
                        const ImageReference& repository,
                        const std::optional<RegistrySecret>& secret, HttpSession& session,
                        const CancelToken& cancel);

  /// What was remembered is refused now.
  void forget(const ImageReference& repository, const std::optional<RegistrySecret>& secret);

 private:
  base::Result<std::string> fetch_token(const AuthChallenge& challenge,
                                        const std::string& registry_url,
                                        const ImageReference& repository,
                                        const std::optional<RegistrySecret>& secret,
                                        HttpSession& session, const CancelToken& cancel);
  static std::string key(const ImageReference& repository,
                         const std::optional<RegistrySecret>& secret);

  mutable std::mutex mutex_;
  std::map<std::string, std::string> remembered_;  // Guarded by mutex_.
};

}  // namespace hypermesh
