#pragma once

#include <algorithm>
#include <base/error.hpp>
#include <base/time.hpp>
#include <concepts>
#include <cstdint>
#include <map>
#include <optional>
#include <ranges>

namespace hypermesh::state {

/// Chooses whom to ask for the next pieces of a state. What nodes did is remembered from one
/// transfer to the next: checkpoints go by so quickly that none may be left to who asks a dead node
/// first each time.
template <std::totally_ordered Id>
class TransferSources {
 public:
  struct Asked {
    Id source;
    std::uint64_t transfer = 0;
  };

  /// Another transfer begins, and all of these may be asked.
  template <std::ranges::input_range Ids>
  void begin(Ids&& ids) {
    ++transfer_;
    std::map<Id, Source> now;
    for (const Id& id : ids) {
      const auto before = sources_.find(id);
      Source& source = now[id] = before == sources_.end() ? Source() : before->second;
      source.under_way = source.silences = 0;
      source.out = false;
    }
    sources_ = std::move(now);
  }

  std::size_t size() const { return sources_.size(); }
  /// Counts them.
  std::uint64_t transfer() const { return transfer_; }

  /// The one of the fewest failures in a row, and of those the least busy. None: all have failed
  /// in this transfer.
  std::optional<Asked> choose() {
    auto best = sources_.end();
    for (auto each = sources_.begin(); each != sources_.end(); ++each) {
      if (!each->second.out && (best == sources_.end() || each->second < best->second)) best = each;
    }
    if (best == sources_.end()) return std::nullopt;
    ++best->second.under_way;
    return Asked{best->first, transfer_};
  }

  /// How long to wait for an answer: not long for who has never given one, and longer each time.
  base::Duration patience(const Id& id) const {
    const auto found = sources_.find(id);
    if (found == sources_.end() || found->second.proven) return kPatienceMax;
    return std::min(kPatienceMax, kPatienceMin * (1 << std::min(found->second.failures, 8U)));
  }

  /// `took`: what became of its answer. False: it is not to blame, but our own storage.
  bool on_answer(const Asked& asked, const base::Result<>& took) {
    if (took) {
      on_taken(asked);
    } else if (took.error().code == base::Errc::NotFound) {
      on_not_kept(asked);
    } else if (took.error().code == base::Errc::NotVerified ||
               took.error().code == base::Errc::DataLoss) {
      on_wrong(asked);
    } else {
      return false;
    }
    return true;
  }
  /// There was no answer.
  void on_silent(const Asked& asked) {
    if (Source* const source = ended(asked)) {
      source->failures = std::min(source->failures + 1, kLied - 1);
      if (asked.transfer == transfer_ && ++source->silences > kSilencesMax) source->out = true;
    }
  }

 private:
  static constexpr unsigned kSilencesMax = 3, kLied = 1000;
  static constexpr base::Duration kPatienceMin = std::chrono::seconds(1);
  static constexpr base::Duration kPatienceMax = std::chrono::seconds(10);

  struct Source {
    unsigned failures = 0, silences = 0;  // In a row; the latter of this transfer.
    unsigned under_way = 0;
    bool proven = false;  // It has given good answers.
    bool out = false;     // Of this transfer.
    bool operator<(const Source& other) const {
      return std::pair(failures, under_way) < std::pair(other.failures, other.under_way);
    }
  };

  void on_taken(const Asked& asked) {
    if (Source* const source = ended(asked)) {
      source->failures = source->silences = 0;
      source->proven = true;
    }
  }
  // It is asked no more in this transfer.
  void on_not_kept(const Asked& asked) {
    if (Source* const source = ended(asked)) source->out = asked.transfer == transfer_;
  }
  // It is asked no more in this transfer, and after all others in the next.
  void on_wrong(const Asked& asked) {
    if (Source* const source = ended(asked)) {
      source->failures = kLied;
      source->out = true;
    }
  }

  Source* ended(const Asked& asked) {
    const auto found = sources_.find(asked.source);
    if (found == sources_.end()) return nullptr;
    if (asked.transfer == transfer_) --found->second.under_way;
    return &found->second;
  }

  std::map<Id, Source> sources_;
  std::uint64_t transfer_ = 0;
};

}  // namespace hypermesh::state
