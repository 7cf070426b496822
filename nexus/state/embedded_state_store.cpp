#include "state/embedded_state_store.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "state/stored_state.hpp"

namespace nexus {

// A watch: everything under its prefix up to `position_` was handed out or was of no interest.
class EmbeddedStateStore::Cursor final : public Watch {
 public:
  Cursor(EmbeddedStateStore& store, std::string prefix, Revision after)
      : store_(store), prefix_(std::move(prefix)), position_(after), wake_(store.executor_) {
    store_.cursors_.insert(this);
  }
  ~Cursor() override { store_.cursors_.erase(this); }

  base::Task<base::Result<std::vector<WatchEvent>>> next() override {
    for (;;) {
      if (ended_) co_return std::unexpected(*ended_);
      std::vector<WatchEvent> events;
      if (position_ >= store_.revision_) {
        co_await wake_.wait();
      } else if (position_ + 1 >= store_.first_recent()) {
        take_recent(events);
      } else {
        auto logged = co_await store_.pool_.run(
            [backend = store_.backend_.get(), prefix = prefix_, after = position_] {
              return read_logged_events(*backend, prefix, after);
            });
        // A disk that failed is opened anew by the next write. Nothing of the log is lost, and who
        // watches cannot do without it.
        if (!logged && logged.error().code == base::Errc::Unavailable) {
          co_await base::sleep_for(kReadRetry);
          continue;
        }
        if (!logged) co_return std::unexpected(std::move(logged).error());
        events = std::move(logged->events);
        position_ = logged->up_to;
      }
      if (!events.empty()) co_return events;
    }
  }

  Revision position() const override { return position_; }

  // Those who wait for other keys follow without waking up, so that they never fall behind.
  void committed(const CommitEvents& commit) {
    const bool of_interest = std::ranges::any_of(
        commit.events, [this](const WatchEvent& event) { return event.key.starts_with(prefix_); });
    if (of_interest) {
      wake_.notify();
    } else if (position_ + 1 == commit.revision) {
      position_ = commit.revision;
    }
  }
  void end(base::Error why) {
    ended_ = std::move(why);
    wake_.notify();
  }

 private:
  static constexpr std::size_t kEventsMax = 1000;  // of one answer; whole commits
  static constexpr base::Duration kReadRetry = std::chrono::milliseconds(100);

  void take_recent(std::vector<WatchEvent>& events) {
    for (std::size_t i = position_ + 1 - store_.first_recent();
         i < store_.recent_.size() && events.size() < kEventsMax; ++i) {
      const CommitEvents& commit = *store_.recent_[i];
      for (const WatchEvent& event : commit.events) {
        if (event.key.starts_with(prefix_)) events.push_back(event);
      }
      position_ = commit.revision;
    }
  }

  EmbeddedStateStore& store_;
  std::string prefix_;
  Revision position_;
  base::Event wake_;
  std::optional<base::Error> ended_;
};

struct EmbeddedStateStore::Waiting {
  Waiting(const base::Executor& executor, StateRequest wish)
      : request(std::make_shared<StateRequest>(std::move(wish))), done(executor) {
    for (const Write& write : request->writes)
      bytes += write.key.size() + (write.value ? write.value->size() : 0);
  }
  std::shared_ptr<StateRequest> request;
  std::size_t bytes = 0;
  base::Event done;
  bool answered = false;
};

namespace {

constexpr base::Duration kLeaseRetry = std::chrono::seconds(1);

base::Error closing_error() {
  return base::make_error(base::Errc::Unavailable, "the state store is closing");
}

}  // namespace

base::Result<std::unique_ptr<EmbeddedStateStore>> EmbeddedStateStore::open(
    const base::Executor& executor, base::BlockingPool& pool, std::unique_ptr<StateBackend> backend,
    const base::Clock& clock, base::Metrics& metrics, Limits limits) {
  std::unique_ptr<EmbeddedStateStore> store(
      new EmbeddedStateStore(executor, pool, std::move(backend), clock, metrics, limits));
  TRY(store->writer_, StateWriter::open(*store->backend_, limits.log));
  store->revision_ = store->writer_->revision();
  store->compacted_ = store->writer_->compacted();
  TRY(const auto leases, store->writer_->leases());
  for (const auto& record : leases)
    store->leases_.grant(record.lease, record.time_to_live, clock.now());
  if (!leases.empty()) store->watch_leases();
  return store;
}

EmbeddedStateStore::EmbeddedStateStore(const base::Executor& executor, base::BlockingPool& pool,
                                       std::unique_ptr<StateBackend> backend,
                                       const base::Clock& clock, base::Metrics& metrics,
                                       Limits limits)
    : executor_(executor),
      pool_(pool),
      clock_(clock),
      limits_(limits),
      backend_(std::move(backend)),
      commit_seconds_(
          metrics.histogram("nexus_state_commit_seconds",
                            "Time from a commit's call to its answer, the disk included", {},
                            {.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 1, 5})),
      group_commits_(metrics.histogram("nexus_state_group_commits",
                                       "Commits that shared one write to the disk", {},
                                       {1, 2, 4, 8, 16, 32, 64, 128, 256})),
      failed_writes_(metrics.counter("nexus_state_failed_writes_total",
                                     "Groups of commits that the disk refused")),
      leases_changed_(executor),
      writes_(executor),
      timers_(executor) {}

EmbeddedStateStore::~EmbeddedStateStore() {
  BASE_ASSERT(cursors_.empty(), "a state store was destroyed before its watches");
}

base::Task<> EmbeddedStateStore::close() {
  closing_ = true;
  timers_.cancel();
  co_await timers_.join();
  co_await writes_.join();
  for (Cursor* cursor : cursors_) cursor->end(closing_error());
}

base::Task<base::Result<std::optional<KeyValue>>> EmbeddedStateStore::get(std::string key) {
  co_return co_await pool_.run(
      [backend = backend_.get(),
       key = std::move(key)]() mutable -> base::Result<std::optional<KeyValue>> {
        TRY(const auto bytes, backend->view()->get(entry_key(key)));
        if (!bytes) return std::optional<KeyValue>();
        TRY(StoredEntry entry, decode_entry(*bytes));
        return KeyValue{std::move(key), std::move(entry.value), entry.created, entry.modified};
      });
}

base::Task<base::Result<RangeResult>> EmbeddedStateStore::range(Range range) {
  co_return co_await pool_.run([backend = backend_.get(),
                                range = std::move(range)]() -> base::Result<RangeResult> {
    const auto view = backend->view();
    RangeResult result;
    TRY(const auto revision, view->get(kRevisionKey));
    if (revision) {
      TRY(result.revision, decode_number(*revision));
    }
    const std::string prefix = entry_key(range.prefix);
    // The first key after `start_after` is `start_after` with a zero byte behind.
    const std::string from =
        range.start_after.empty() ? prefix : std::max(prefix, entry_key(range.start_after) + '\0');
    TRY(auto entries, view->scan(from, end_of_prefix(prefix), range.entries_max + 1, SIZE_MAX));
    if (entries.size() > range.entries_max) {
      result.more = true;
      entries.pop_back();
    }
    result.entries.reserve(entries.size());
    for (auto& [key, bytes] : entries) {
      TRY(StoredEntry entry, decode_entry(bytes));
      result.entries.push_back(
          {key.substr(1), std::move(entry.value), entry.created, entry.modified});
    }
    return result;
  });
}

base::Task<base::Result<Revision>> EmbeddedStateStore::commit(std::vector<Write> writes) {
  co_return co_await submit({std::move(writes), {}, 0, 0});
}

base::Task<base::Result<std::uint64_t>> EmbeddedStateStore::submit(StateRequest request) {
  if (closing_) co_return std::unexpected(closing_error());
  if (waiting_.size() >= limits_.waiting_commits_max) {
    co_return base::fail(
        base::Errc::ResourceExhausted,
        fmt::format("{} commits wait for the disk; no more are taken", waiting_.size()));
  }
  const auto started = clock_.now();
  const auto waiting = std::make_shared<Waiting>(executor_, std::move(request));
  waiting_.push_back(waiting);
  if (!writing_) {
    writing_ = true;
    writes_.spawn(write_groups());
  }
  while (!waiting->answered) co_await waiting->done.wait();
  commit_seconds_.observe(std::chrono::duration<double>(clock_.now() - started).count());
  co_return std::move(waiting->request->result);
}

std::vector<std::shared_ptr<EmbeddedStateStore::Waiting>> EmbeddedStateStore::next_group() {
  std::vector<std::shared_ptr<Waiting>> group;
  std::size_t bytes = 0;
  while (!waiting_.empty() && group.size() < limits_.group_commits_max) {
    if (!group.empty() && bytes + waiting_.front()->bytes > limits_.group_bytes_max) break;
    bytes += waiting_.front()->bytes;
    group.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return group;
}

base::Task<> EmbeddedStateStore::write_groups() {
  while (!waiting_.empty()) {
    const auto group = next_group();
    group_commits_.observe(static_cast<double>(group.size()));
    std::vector<std::shared_ptr<StateRequest>> requests;
    requests.reserve(group.size());
    for (const auto& waiting : group) requests.push_back(waiting->request);
    const auto outcome = co_await pool_.run(
        [this, &requests, leases = leases_.ids()] { return writer_->apply(requests, leases); });
    if (outcome.revision == revision_ && !requests.front()->result &&
        requests.front()->result.error().code == base::Errc::ResourceExhausted) {
      failed_writes_.add();
    }
    publish(outcome);
    for (const auto& waiting : group) {
      const StateRequest& request = *waiting->request;
      if (request.result && request.grant) {
        leases_.grant(*request.result, *request.grant, clock_.now());
        watch_leases();
      }
      if (request.result && request.revoke != 0) leases_.revoke(request.revoke);
      waiting->answered = true;
      waiting->done.notify();
    }
  }
  writing_ = false;
}

void EmbeddedStateStore::publish(const StateWriter::Outcome& outcome) {
  compacted_ = outcome.compacted;
  for (const auto& commit : outcome.commits) {
    recent_.push_back(commit);
    recent_bytes_ += commit->bytes;
    revision_ = commit->revision;
    for (Cursor* cursor : cursors_) cursor->committed(*commit);
  }
  while (recent_.size() > limits_.recent_commits_max ||
         (recent_.size() > 1 && recent_bytes_ > limits_.recent_bytes_max)) {
    recent_bytes_ -= recent_.front()->bytes;
    recent_.pop_front();
  }
}

Revision EmbeddedStateStore::first_recent() const {
  return recent_.empty() ? revision_ + 1 : recent_.front()->revision;
}

base::Task<base::Result<std::unique_ptr<Watch>>> EmbeddedStateStore::watch(std::string prefix,
                                                                           Revision after) {
  if (closing_) co_return std::unexpected(closing_error());
  if (after < compacted_) {
    co_return base::fail(
        base::Errc::FailedPrecondition,
        fmt::format("the changes after revision {} are gone: the oldest kept is {}", after,
                    compacted_ + 1));
  }
  co_return std::make_unique<Cursor>(*this, std::move(prefix), after);
}

base::Task<base::Result<LeaseId>> EmbeddedStateStore::grant_lease(base::Duration time_to_live) {
  if (time_to_live <= base::Duration::zero()) {
    co_return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("a lease of {} ns; must be longer than 0", time_to_live.count()));
  }
  CO_TRY(const LeaseId lease, co_await submit({{}, time_to_live, 0, 0}));
  co_return lease;
}

base::Task<base::Result<>> EmbeddedStateStore::keep_alive(LeaseId lease) {
  if (!leases_.keep_alive(lease, clock_.now())) {
    co_return base::fail(base::Errc::NotFound, fmt::format("lease {} has ended", lease));
  }
  co_return base::Result<>();
}

base::Task<base::Result<>> EmbeddedStateStore::revoke_lease(LeaseId lease) {
  CO_TRY_DO(co_await submit({{}, {}, lease, 0}));
  co_return base::Result<>();
}

void EmbeddedStateStore::watch_leases() {
  if (watching_leases_) {
    leases_changed_.notify();
  } else {
    watching_leases_ = true;
    timers_.spawn(end_leases());
  }
}

base::Task<> EmbeddedStateStore::end_leases() {
  while (const auto next = leases_.next_end()) {
    const auto now = clock_.now();
    if (*next > now) {
      co_await leases_changed_.wait_for(*next - now);
      continue;
    }
    for (const LeaseId lease : leases_.expired(now)) {
      const auto ended = co_await submit({{}, {}, lease, 0});
      // A full disk keeps the keys; they go as soon as it has room.
      if (!ended) co_await base::sleep_for(kLeaseRetry);
    }
  }
  watching_leases_ = false;
}

}  // namespace nexus
