#pragma once

// Twins (Bano et al., OPODIS 2021): one replica runs twice, with the same key and the code of
// honest replicas, and so can say all that a liar could who keeps to the protocol in each of two
// worlds. In each of a few rounds the five instances are divided in one of all ways, and either
// keep their view or give it up. Then all hear each other again.

#include <cstdint>
#include <string>

namespace sim {

/// All scenarios of so many rounds, each with a number. Which replica has a twin, then for each
/// round how the instances are divided, whether they give their view up and whether Commit votes
/// are lost, are its digits.
class Twins {
 public:
  /// `rounds`: 1 to 6.
  explicit Twins(unsigned rounds);

  std::uint64_t total() const { return total_; }
  /// The `place`th of an order in which neighbours have little in common, so that a part of it is a
  /// sample of the whole. Each number is there once.
  std::uint64_t number_at(std::uint64_t place) const;
  /// Another one with a lower number is the same with the twins exchanged.
  bool repeats_another(std::uint64_t number) const;
  std::string describe(std::uint64_t number) const;
  struct Outcome {
    std::string failure;  ///< Empty: every check held.
    std::uint64_t steps = 0, views = 0;
    bool proven = false;  ///< An honest instance has evidence against the twins.
  };
  Outcome run(std::uint64_t number) const;

 private:
  struct Scenario;
  Scenario scenario(std::uint64_t number) const;

  unsigned rounds_;
  std::uint64_t total_ = 0, stride_ = 1;
};

}  // namespace sim
