#include "sim/history.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

namespace sim {

namespace {

using Kind = Call::Kind;

struct State {
  std::uint64_t now = 0;     // Of the key; 0: absent.
  std::uint64_t newest = 0;  // Revisions only grow.
  friend auto operator<=>(const State&, const State&) = default;
};

bool apply(const Call& call, State& state) {
  switch (call.kind) {
    case Kind::Read:
      return state.now == call.revision;
    case Kind::Refused:
      return state.now != call.expected;
    case Kind::Put:
    case Kind::Delete:
      if ((call.conditional && state.now != call.expected) || call.revision < state.newest)
        return false;
      state.newest = call.revision;
      state.now = call.kind == Kind::Put ? call.revision : 0;
      return true;
  }
  return false;
}

class Search {
 public:
  explicit Search(std::vector<Call> calls) : calls_(std::move(calls)), done_(calls_.size()) {
    std::ranges::stable_sort(calls_, {}, &Call::begun);
  }

  std::string run() {
    struct Step {
      std::size_t call;
      State before;
    };
    std::vector<Step> path;
    State state;
    std::size_t from = 0;
    for (std::size_t deepest = 0; path.size() < calls_.size();) {
      const auto next = candidate(from, state);
      if (next) {
        State after = state;
        (void)apply(calls_[*next], after);
        done_[*next] = true;
        last_ = std::max(last_, *next);
        if (tried_.emplace(what_is_done(), after).second) {
          path.push_back({*next, state});
          state = after;
          deepest = std::max(deepest, path.size());
          from = 0;
          continue;
        }
        done_[*next] = false;
        first_ = std::min(first_, *next);
        from = *next + 1;
        continue;
      }
      if (path.empty()) {
        return fmt::format("no order explains {} calls on one key; {} of them at most",
                           calls_.size(), deepest);
      }
      done_[path.back().call] = false;
      first_ = std::min(first_, path.back().call);
      state = path.back().before;
      from = path.back().call + 1;
      path.pop_back();
    }
    return {};
  }

 private:
  // The first from `from` on that may come next: no other that is left ended before it began.
  std::optional<std::size_t> candidate(std::size_t from, const State& state) {
    while (first_ < calls_.size() && done_[first_]) ++first_;
    base::MonotonicTime earliest_end = base::MonotonicTime::max();
    for (std::size_t i = first_; i < calls_.size() && calls_[i].begun <= earliest_end; ++i)
      if (!done_[i]) earliest_end = std::min(earliest_end, calls_[i].ended);
    for (std::size_t i = std::max(from, first_);
         i < calls_.size() && calls_[i].begun <= earliest_end; ++i) {
      State after = state;
      if (!done_[i] && apply(calls_[i], after)) return i;
    }
    return std::nullopt;
  }

  // All before some call, and those behind it one by one.
  std::vector<std::uint32_t> what_is_done() const {
    auto open = first_;
    while (open < calls_.size() && done_[open]) ++open;
    std::vector<std::uint32_t> done{static_cast<std::uint32_t>(open)};
    for (auto i = open; i <= last_; ++i) {
      if (done_[i]) done.push_back(static_cast<std::uint32_t>(i));
    }
    return done;
  }

  std::vector<Call> calls_;
  std::vector<bool> done_;
  std::size_t first_ = 0;  // All before it are done,
  std::size_t last_ = 0;   // and none behind it.
  std::set<std::pair<std::vector<std::uint32_t>, State>> tried_;
};

}  // namespace

std::string check_linearizable(std::vector<Call> calls) {
  return Search(std::move(calls)).run();
}

}  // namespace sim
