#pragma once

#include <base/error.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hypermesh {

inline constexpr std::size_t kChallengeBytesMax = 8192;
inline constexpr std::size_t kChallengesMax = 8;
inline constexpr std::size_t kChallengeParametersMax = 16;

/// One way in that a server offers.
struct AuthChallenge {
  std::string scheme;   ///< Lower case: "bearer", "basic".
  std::string token68;  ///< "Negotiate abc==" has this instead of parameters.
  std::map<std::string, std::string> parameters;  ///< Names in lower case.

  bool operator==(const AuthChallenge&) const = default;
};

/// The value of a WWW-Authenticate field, which may list several challenges (RFC 9110
/// section 11.6.1). Errors: InvalidArgument (names the byte).
base::Result<std::vector<AuthChallenge>> parse_www_authenticate(std::string_view value);

}  // namespace hypermesh
