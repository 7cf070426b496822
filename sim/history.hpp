#pragma once

#include <base/time.hpp>
#include <string>
#include <vector>

namespace sim {

/// One call of a client on one key, as the client saw it. A key's state is the revision of its
/// last write, 0 if it is absent; no two writes have the same.
struct Call {
  enum class Kind : std::uint8_t {
    Put,      ///< `revision`: what it got.
    Delete,   ///< Likewise.
    Refused,  ///< A condition on `expected` did not hold.
    Read,     ///< `revision`: what it saw.
  } kind{};
  base::MonotonicTime begun{}, ended{};
  std::uint64_t revision = 0;
  bool conditional = false;  ///< Of Put and Delete: only if the state is `expected`.
  std::uint64_t expected = 0;
};

/// Whether one order of all calls on one key explains them, in which each takes effect between its
/// begin and its end (Herlihy and Wing 1990). The search is Wing and Gong's, with Lowe's memory of
/// what was tried (2017). Empty: there is one; else the call that none explains.
std::string check_linearizable(std::vector<Call> calls);

}  // namespace sim
