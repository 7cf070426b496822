#include "audit/audit_log.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace nexus {
namespace {

constexpr std::string_view kOutboxPrefix = "/audit/outbox/";
constexpr std::string_view kCheckpointKey = "/audit/checkpoint";
constexpr std::size_t kSequencesKept = 20'000;  // more than can wait for a receipt at once
constexpr base::Duration kRetry = std::chrono::seconds(1);

MerkleReader reader_of(const AuditFiles& files) {
  return [&files](MerkleNode node) { return files.node(node); };
}

base::Result<> check_size(std::uint64_t size, const SignedTreeHead& head) {
  if (size <= head.head.size) return {};
  return base::fail(base::Errc::InvalidArgument,
                    fmt::format("the audit log has {} records, not {}", head.head.size, size));
}

std::string outbox_key(std::uint64_t number) {
  return fmt::format("{}{:016x}", kOutboxPrefix, number);
}

}  // namespace

// One user of the files at a time.
class AuditLog::Turn {
 public:
  explicit Turn(AuditLog& log) : log_(log) { log_.files_busy_ = true; }
  ~Turn() {
    log_.files_busy_ = false;
    log_.files_free_.notify();
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  AuditLog& log_;
};

// `call` gets the files and the head of what they hold.
template <class F>
auto AuditLog::on_files(F call)
    -> base::Task<decltype(call(std::declval<AuditFiles&>(),
                                std::declval<const SignedTreeHead&>()))> {
  while (files_busy_) co_await files_free_.wait();
  const Turn turn(*this);
  const SignedTreeHead head = written_head_;
  co_return co_await pool_.run([this, &call, &head] { return call(*files_, head); });
}

base::Task<base::Result<std::unique_ptr<AuditLog>>> AuditLog::open(
    base::Executor executor, base::BlockingPool& pool, const std::filesystem::path& folder,
    StateStore& state, const base::SigningKey& key, const base::Clock& clock,
    base::Metrics& metrics, base::Log log, Limits limits) {
  CO_TRY(auto files, co_await pool.run([&] { return AuditFiles::open(folder, log); }));
  std::unique_ptr<AuditLog> audit(new AuditLog(std::move(executor), pool, std::move(files), state,
                                               key, clock, metrics, std::move(log), limits));
  CO_TRY_DO(co_await audit->load());
  co_return audit;
}

AuditLog::AuditLog(base::Executor executor, base::BlockingPool& pool,
                   std::unique_ptr<AuditFiles> files, StateStore& state,
                   const base::SigningKey& key, const base::Clock& clock, base::Metrics& metrics,
                   base::Log log, Limits limits)
    : executor_(executor),
      pool_(pool),
      files_(std::move(files)),
      state_(state),
      key_(key),
      clock_(clock),
      log_(std::move(log)),
      limits_(limits),
      records_total_(
          metrics.counter("nexus_audit_records_total", "Records appended to the audit log")),
      placed_changed_(executor),
      files_free_(executor),
      sync_wanted_(executor),
      follower_(executor),
      syncs_(executor) {}

AuditLog::~AuditLog() = default;

base::Task<base::Result<>> AuditLog::load() {
  AuditCheckpoint checkpoint;
  CO_TRY(const auto stored, co_await state_.get(std::string(kCheckpointKey)));
  if (stored) {
    CO_TRY(checkpoint, decode_checkpoint(stored->value));
  }
  CO_TRY(chain_, AuditChain::restore(checkpoint));

  std::vector<KeyValue> waiting;
  Range range{std::string(kOutboxPrefix)};
  Revision seen = 0;
  for (;;) {
    CO_TRY(auto page, co_await state_.range(range));
    seen = page.revision;
    std::ranges::move(page.entries, std::back_inserter(waiting));
    if (!page.more) break;
    range.start_after = waiting.back().key;
  }
  if (!waiting.empty()) {
    const std::string last = waiting.back().key.substr(kOutboxPrefix.size());
    next_outbox_ = std::strtoull(last.c_str(), nullptr, 16) + 1;
  }
  std::ranges::sort(waiting, {}, &KeyValue::created);
  for (const KeyValue& entry : waiting) CO_TRY_DO(place(entry.key, entry.value, entry.created));
  sign_head();
  written_head_ = head_;
  CO_TRY_DO(co_await on_files([&](AuditFiles& files, const SignedTreeHead&) {
    return files.resume(checkpoint, unwritten_);
  }));
  std::uint64_t lost = 0;
  if (!limits_.state_synced) {
    CO_TRY(lost, co_await on_files([&](AuditFiles& files, const SignedTreeHead&) {
             return files.put_lost_heads_aside(chain_.records());
           }));
  }
  CO_TRY_DO(co_await flush());
  CO_TRY(auto outbox, co_await state_.watch(std::string(kOutboxPrefix), seen));
  follower_.spawn(follow(std::move(outbox)));
  if (lost > 0) co_return co_await tell_of_lost(lost);
  co_return base::Result<>();
}

base::Task<base::Result<>> AuditLog::tell_of_lost(std::uint64_t records) {
  AuditEntry entry;
  entry.time = clock_.wall();
  entry.who = entry.role = "system";
  entry.action = "lose";
  entry.object = "audit";
  entry.result = to_string(base::Errc::DataLoss);
  entry.detail = fmt::format(
      "{} records after record {} were signed and are lost with the writes they told of: the power "
      "went while storage.fsync was off; their heads are kept in audit.heads.aside-*",
      records, chain_.records());
  log_.error("audit records were lost: the power went while storage.fsync was off",
             {{"records", records}, {"after_record", chain_.records()}});
  CO_TRY_DO(co_await record(std::move(entry)));
  co_return base::Result<>();
}

base::Result<> AuditLog::place(const std::string& key, std::string_view staged, Revision revision) {
  TRY(auto entries, decode_staged(staged));
  for (AuditEntry& entry : entries) {
    unwritten_.add(chain_.append(std::move(entry), revision));
    records_total_.add();
  }
  unsynced_.push_back({key, chain_.checkpoint()});
  sequences_[revision] = chain_.records();
  if (sequences_.size() > kSequencesKept) sequences_.erase(sequences_.begin());
  return {};
}

void AuditLog::sign_head() {
  head_ = sign_tree_head({chain_.records(), chain_.root(), clock_.wall()}, key_);
}

base::Task<> AuditLog::follow(std::unique_ptr<Watch> outbox) {
  for (;;) {
    const auto events = co_await outbox->next();
    base::Result<> placed;
    if (!events) placed = std::unexpected(events.error());
    const auto before = chain_.records();
    if (events) {
      for (const WatchEvent& event : *events) {
        if (event.value) {
          placed = place(event.key, *event.value, event.revision);
        } else {
          std::erase_if(removable_, [&](const Placed& done) { return done.key == event.key; });
        }
        if (!placed) break;
      }
    }
    if (chain_.records() != before) {
      sign_head();
      want_sync();
    }
    if (!placed) failed_ = std::move(placed).error();
    placed_changed_.notify();
    if (!failed_) continue;
    log_.error("the audit log stops, and with it every write", {{"error", *failed_}});
    co_return;
  }
}

void AuditLog::add_housekeeping(std::vector<Write>& writes) {
  if (housekeeping_ || removable_.empty()) return;
  const std::size_t count = std::min(removable_.size(), limits_.outbox_removed_max);
  for (std::size_t i = 0; i < count; ++i) writes.push_back({removable_[i].key, std::nullopt});
  writes.push_back(
      {std::string(kCheckpointKey), encode_checkpoint(removable_[count - 1].checkpoint)});
  housekeeping_ = true;
}

base::Task<base::Result<AuditLog::Committed>> AuditLog::commit(std::vector<Write> writes,
                                                               std::vector<AuditEntry> entries) {
  BASE_ASSERT(!entries.empty() && entries.size() <= kAuditStagedMax,
              "a commit is audited with 1 to kAuditStagedMax entries");
  if (failed_)
    co_return std::unexpected(base::wrap(*failed_, "nothing is written without an audit log"));
  writes.push_back({outbox_key(next_outbox_++), encode_staged(entries), 0});
  const bool cleaned = housekeeping_;
  add_housekeeping(writes);
  const bool cleans = housekeeping_ && !cleaned;
  // The flag must fall also when our caller gives up while the commit is under way.
  struct Lower {
    ~Lower() {
      if (mine) flag = false;
    }
    bool& flag;
    bool mine;
  } const lower{housekeeping_, cleans};
  CO_TRY(const Revision revision, co_await state_.commit(std::move(writes)));
  while (!failed_ && chain_.revision() < revision) co_await placed_changed_.wait();
  if (chain_.revision() < revision)
    co_return std::unexpected(base::wrap(*failed_, "written, but without a receipt"));
  const auto found = sequences_.find(revision);
  BASE_ASSERT(found != sequences_.end(), "a revision that was just placed has its sequence");
  co_return Committed{revision, {found->second, head_.head.size, head_.head.root, 1, 1}};
}

base::Task<base::Result<Receipt>> AuditLog::record(AuditEntry entry) {
  std::vector<AuditEntry> entries;
  entries.push_back(std::move(entry));
  CO_TRY(const Committed committed, co_await commit({}, std::move(entries)));
  co_return committed.receipt;
}

void AuditLog::want_sync() {
  if (unwritten_.bytes() >= limits_.unsynced_bytes_max) sync_wanted_.notify();
  if (syncing_) return;
  syncing_ = true;
  syncs_.spawn(sync_later());
}

base::Task<> AuditLog::sync_later() {
  while (unwritten_.bytes() > 0 && !closing_) {
    if (unwritten_.bytes() < limits_.unsynced_bytes_max)
      co_await sync_wanted_.wait_for(limits_.sync_after);
    if (const auto flushed = co_await flush(); !flushed) {
      log_.error("the audit log cannot be written; its records stay in the state",
                 {{"error", flushed.error()}});
      co_await sync_wanted_.wait_for(kRetry);
    }
  }
  syncing_ = false;
}

base::Task<base::Result<>> AuditLog::flush() {
  while (files_busy_) co_await files_free_.wait();
  // A caller that was cancelled while it waited gets no further than the next co_await, and the
  // records that it took would be lost.
  const auto caller = co_await base::asio::this_coro::cancellation_state;
  if (caller.cancelled() != base::asio::cancellation_type::none)
    co_return base::fail(base::Errc::Cancelled, "nobody waits for the audit log any more");
  const Turn turn(*this);
  if (unwritten_.bytes() == 0) co_return base::Result<>();
  AuditGrowth growth = std::exchange(unwritten_, {});
  std::deque<Placed> placed = std::exchange(unsynced_, {});
  const SignedTreeHead head = head_;
  // Nothing may come between taking the records and this, which also ends when the caller is
  // cancelled meanwhile.
  auto written = co_await pool_.run([&] { return files_->append(growth, head); });
  if (written) {
    written_head_ = head;
    std::ranges::move(placed, std::back_inserter(removable_));
  } else {
    growth.add(std::exchange(unwritten_, {}));
    unwritten_ = std::move(growth);
    std::ranges::move(unsynced_, std::back_inserter(placed));
    unsynced_ = std::move(placed);
  }
  co_return written;
}

base::Task<base::Result<std::vector<AuditRecord>>> AuditLog::list(AuditQuery query) {
  CO_TRY_DO(co_await flush());
  co_return co_await on_files(
      [&](AuditFiles& files, const SignedTreeHead&) { return files.list(query); });
}

base::Task<base::Result<AuditProof>> AuditLog::prove(std::uint64_t sequence) {
  CO_TRY_DO(co_await flush());
  co_return co_await on_files(
      [&](AuditFiles& files, const SignedTreeHead& head) -> base::Result<AuditProof> {
        AuditProof proof;
        proof.head = head;
        TRY(proof.encoded, files.read(sequence));
        TRY(proof.record, decode_record(proof.encoded));
        TRY(proof.path, merkle_inclusion_proof(sequence - 1, head.head.size, reader_of(files)));
        return proof;
      });
}

base::Task<base::Result<std::vector<base::Digest>>> AuditLog::prove_consistency(
    std::uint64_t old_size, std::uint64_t new_size) {
  CO_TRY_DO(co_await flush());
  co_return co_await on_files(
      [&](AuditFiles& files,
          const SignedTreeHead& head) -> base::Result<std::vector<base::Digest>> {
        TRY_DO(check_size(new_size, head));
        return merkle_consistency_proof(old_size, new_size, reader_of(files));
      });
}

base::Task<base::Result<base::Digest>> AuditLog::root_of(std::uint64_t size) {
  CO_TRY_DO(co_await flush());
  co_return co_await on_files(
      [&](AuditFiles& files, const SignedTreeHead& head) -> base::Result<base::Digest> {
        TRY_DO(check_size(size, head));
        return merkle_root(size, reader_of(files));
      });
}

base::Task<base::Result<SignedTreeHead>> AuditLog::verify_all() {
  CO_TRY_DO(co_await flush());
  co_return co_await on_files(
      [&](AuditFiles& files, const SignedTreeHead& head) -> base::Result<SignedTreeHead> {
        TRY_DO(files.verify(head.head, key_.public_key()));
        return head;
      });
}

base::Task<> AuditLog::close() {
  follower_.cancel();
  co_await follower_.join();
  closing_ = true;
  sync_wanted_.notify();
  co_await syncs_.join();
  if (const auto flushed = co_await flush(); !flushed) {
    log_.warning("the last audit records stay in the state until the next start",
                 {{"error", flushed.error()}});
  }
}

}  // namespace nexus
