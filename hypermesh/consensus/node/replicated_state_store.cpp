#include "consensus/node/replicated_state_store.hpp"

#include <algorithm>

namespace hypermesh::consensus {

using base::Result;
using base::Task;

namespace {

constexpr base::Duration kLook = std::chrono::seconds(1);

nexus::KeyValue entry_of(state::KeyValue entry) {
  return {std::move(entry.key), std::move(entry.value), entry.created, entry.modified};
}

}  // namespace

// Everything under its prefix up to `position_` was handed out or was of no interest.
class ReplicatedStateStore::Cursor final : public nexus::Watch {
 public:
  Cursor(ReplicaNode& node, std::shared_ptr<std::set<Cursor*>> all, std::string prefix,
         nexus::Revision after, std::size_t revisions)
      : node_(node),
        all_(std::move(all)),
        prefix_(std::move(prefix)),
        position_(after),
        revisions_(revisions) {
    all_->insert(this);
  }
  ~Cursor() override { all_->erase(this); }

  Task<Result<std::vector<nexus::WatchEvent>>> next() override {
    for (;;) {
      const auto before = node_.status();
      if (position_ >= before.revision) {
        co_await node_.applied_after(before.applied, kLook);
        const auto now = node_.status();
        if (now.applied > before.applied && position_ >= now.revision) continue;
      }
      // A copy for the worker: this watch may go while it reads.
      auto page = co_await node_.read(ReplicaNode::Consistency::Local, kLook,
                                      [prefix = prefix_, after = position_, revisions = revisions_](
                                          const state::View& view) -> Result<state::EventPage> {
                                        return view.events(prefix, after, revisions);
                                      });
      if (!page) co_return std::unexpected(std::move(page).error());
      position_ = std::max(position_, page->up_to);
      if (page->events.empty()) continue;
      std::vector<nexus::WatchEvent> events;
      for (auto& event : page->events) {
        events.push_back({event.revision, std::move(event.key), std::move(event.value),
                          std::move(event.previous)});
      }
      co_return events;
    }
  }
  nexus::Revision position() const override { return position_; }

  // Nobody may call next() for long, and what is old is let go meanwhile.
  void skip_if_of_no_interest(const state::LoggedRevision& change) {
    if (position_ + 1 != change.revision) return;
    const bool interesting = std::ranges::any_of(
        change.events,
        [this](const state::LoggedEvent& event) { return event.key.starts_with(prefix_); });
    if (!interesting) position_ = change.revision;
  }

 private:
  ReplicaNode& node_;
  const std::shared_ptr<std::set<Cursor*>> all_;
  const std::string prefix_;
  nexus::Revision position_;
  const std::size_t revisions_;
};

ReplicatedStateStore::ReplicatedStateStore(ReplicaNode& node, Limits limits)
    : node_(node), limits_(limits), cursors_(std::make_shared<std::set<Cursor*>>()) {
  node_.on_executed([cursors = cursors_](const Link&, const Executed& executed) {
    for (const auto& change : executed.changes)
      for (Cursor* const cursor : *cursors) cursor->skip_if_of_no_interest(change);
  });
}

Task<Result<std::optional<nexus::KeyValue>>> ReplicatedStateStore::get(std::string key) {
  co_return co_await node_.read(
      ReplicaNode::Consistency::Linearizable, limits_.time,
      [key = std::move(key)](const state::View& view) -> Result<std::optional<nexus::KeyValue>> {
        TRY(auto entry, view.get(key));
        if (!entry) return std::nullopt;
        return entry_of(*std::move(entry));
      });
}

Task<Result<nexus::RangeResult>> ReplicatedStateStore::range(nexus::Range range) {
  co_return co_await node_.read(
      ReplicaNode::Consistency::Linearizable, limits_.time,
      [range = std::move(range)](const state::View& view) -> Result<nexus::RangeResult> {
        TRY(auto page, view.range({range.prefix, range.start_after, range.entries_max, 0}));
        nexus::RangeResult result{{}, page.revision, page.more};
        for (auto& entry : page.entries) result.entries.push_back(entry_of(std::move(entry)));
        return result;
      });
}

Task<Result<nexus::Revision>> ReplicatedStateStore::commit(std::vector<nexus::Write> writes) {
  state::Transaction transaction;
  for (auto& write : writes) {
    if (write.expected) transaction.conditions.push_back({write.key, *write.expected});
    transaction.writes.push_back({std::move(write.key), std::move(write.value), write.lease});
  }
  // Too large for others to read, it would be refused for that alone.
  CO_TRY_DO(state::check(transaction));
  co_return co_await order(std::move(transaction));
}

Task<Result<std::unique_ptr<nexus::Watch>>> ReplicatedStateStore::watch(std::string prefix,
                                                                        nexus::Revision after) {
  // What is asked for must be there, and what comes after it retained.
  auto there = co_await node_.read(ReplicaNode::Consistency::Linearizable, limits_.time,
                                   [&](const state::View& view) -> Result<state::EventPage> {
                                     return view.events(prefix, after, 0);
                                   });
  if (!there) co_return std::unexpected(std::move(there).error());
  co_return std::make_unique<Cursor>(node_, cursors_, std::move(prefix), after,
                                     limits_.watch_revisions);
}

Task<Result<nexus::LeaseId>> ReplicatedStateStore::grant_lease(base::Duration time_to_live) {
  co_return co_await order(
      state::GrantLease{static_cast<state::Time>(std::max<std::int64_t>(time_to_live.count(), 0))});
}

Task<Result<>> ReplicatedStateStore::keep_alive(nexus::LeaseId lease) {
  CO_TRY_DO(co_await order(state::KeepAlive{lease}));
  co_return Result<>();
}

Task<Result<>> ReplicatedStateStore::revoke_lease(nexus::LeaseId lease) {
  CO_TRY_DO(co_await order(state::RevokeLease{lease}));
  co_return Result<>();
}

nexus::Revision ReplicatedStateStore::revision() const {
  return node_.status().revision;
}

Task<Result<std::uint64_t>> ReplicatedStateStore::order(decltype(state::Operation::action) action) {
  const state::Operation operation{node_.deadline_within(limits_.time), std::move(action)};
  co_return co_await node_.order(encode_on_state(state::encode(operation)), limits_.time);
}

}  // namespace hypermesh::consensus
