#include "consensus/node/replicated_state_store.hpp"

namespace hypermesh::consensus {

using base::Result;
using base::Task;

namespace {

constexpr base::Duration kLook = std::chrono::seconds(1);

nexus::KeyValue entry_of(state::KeyValue entry) {
  return {std::move(entry.key), std::move(entry.value), entry.created, entry.modified};
}

class ReplicatedWatch final : public nexus::Watch {
 public:
  ReplicatedWatch(ReplicaNode& node, std::string prefix, nexus::Revision after,
                  std::size_t revisions)
      : node_(node), prefix_(std::move(prefix)), position_(after), revisions_(revisions) {}

  Task<Result<std::vector<nexus::WatchEvent>>> next() override {
    for (;;) {
      const auto seen = node_.status().applied;
      // A copy for the worker: this watch may go while it reads.
      auto page = co_await node_.read(ReplicaNode::Consistency::Local, kLook,
                                      [prefix = prefix_, after = position_, revisions = revisions_](
                                          const state::View& view) -> Result<state::EventPage> {
                                        return view.events(prefix, after, revisions);
                                      });
      if (!page) co_return std::unexpected(std::move(page).error());
      const bool more = page->up_to < node_.status().revision;
      position_ = page->up_to;
      if (!page->events.empty()) {
        std::vector<nexus::WatchEvent> events;
        for (auto& event : page->events) {
          events.push_back({event.revision, std::move(event.key), std::move(event.value),
                            std::move(event.previous)});
        }
        co_return events;
      }
      if (!more) co_await node_.applied_after(seen, kLook);
    }
  }
  nexus::Revision position() const override { return position_; }

 private:
  ReplicaNode& node_;
  const std::string prefix_;
  nexus::Revision position_;
  const std::size_t revisions_;
};

}  // namespace

ReplicatedStateStore::ReplicatedStateStore(ReplicaNode& node, Limits limits)
    : node_(node), limits_(limits) {}

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
  co_return std::make_unique<ReplicatedWatch>(node_, std::move(prefix), after,
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
