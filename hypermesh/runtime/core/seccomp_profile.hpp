#pragma once

// The system calls a container may make unless it runs unconfined: what Docker's published default
// profile allows, less io_uring, which that profile dropped in 2023 for its record of kernel holes.
// What is not listed fails with EPERM.

#include <cstdint>
#include <string_view>
#include <vector>

#include "runtime/core/capabilities.hpp"

namespace hypermesh::keeper {

struct SeccompArgument {
  enum class Compare : std::uint8_t { Equal, NotEqual, MaskedEqual };
  unsigned index = 0;
  Compare compare = Compare::Equal;
  std::uint64_t value = 0;         ///< Of MaskedEqual: the mask.
  std::uint64_t masked_value = 0;  ///< MaskedEqual only.
  bool operator==(const SeccompArgument&) const = default;
};

struct SeccompRule {
  std::vector<std::string_view> calls;
  std::vector<SeccompArgument> arguments;  ///< All must hold.
  std::uint32_t errno_value = 0;           ///< 0: the call is allowed.
};

struct SeccompProfile {
  std::uint32_t default_errno = 1;
  std::vector<std::string_view> architectures;  ///< As OCI names them, native first.
  std::vector<SeccompRule> rules;
};

/// Some calls are allowed only to who has the capability that they need anyway.
SeccompProfile default_seccomp_profile(CapabilitySet capabilities);

}  // namespace hypermesh::keeper
