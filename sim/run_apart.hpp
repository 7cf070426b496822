#pragma once

#include <sys/types.h>

#include <utility>

#include "sim/mark.hpp"
#include "sim/plan.hpp"

namespace sim {

/// How a life ended.
struct Ended {
  std::string failure;  ///< Empty: every check held.
  Duration elapsed{};
  std::uint64_t steps = 0;
  Mark mark = 0;
};
Ended run_plan(const Plan& plan, bool trace = false);

/// A life in a process of its own, since a broken assertion ends it: that is a failure like any
/// other. Others go on meanwhile.
class Apart {
 public:
  /// Begins. `twice`: it is lived again, and another history is a failure.
  explicit Apart(const Plan& plan, bool twice = false);
  Apart(Apart&& other) noexcept : child_(other.child_), end_(std::exchange(other.end_, -1)) {}
  Apart& operator=(Apart&&) = delete;
  ~Apart();

  /// Readable when it has ended.
  int end() const { return end_; }
  /// Once.
  Ended wait();

 private:
  pid_t child_ = -1;
  int end_ = -1;
};
Ended run_apart(const Plan& plan);

/// Of a process just forked: it does not outlive `parent`, and ends with its own children.
void end_with(pid_t parent);

/// The failure without its numbers: two that are alike have probably the same cause.
std::string kind_of(std::string_view failure);

}  // namespace sim
