#include "consensus/execution/executor.hpp"

#include "consensus/wire.hpp"
#include "state/row.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using state::Outcome;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kRefusalBytesMax = 400;  // So that a bundle's outcomes fit a value.
constexpr std::string_view kCheckpointsKey = "checkpoints";
constexpr std::string_view kEvidencePrefix = "evidence/";

std::string text(base::BytesView bytes) {
  return std::string(base::as_text(bytes));
}

// A client's bundles take turns in so many records.
std::string result_key(const base::PublicKey& client, std::uint64_t sequence) {
  std::string key = "result/";
  key.append(base::as_text(client));
  key.push_back(static_cast<char>(sequence % kClientWindow));
  return key;
}

std::string evidence_key(const base::PublicKey& liar) {
  return std::string(kEvidencePrefix).append(base::as_text(liar));
}

struct Remembered {
  std::uint64_t sequence = 0;
  base::Digest bundle{};
  std::vector<Outcome> outcomes;
};
base::Bytes encode(const Remembered& remembered) {
  base::ByteWriter out;
  out.u8(kVersion);
  out.u64(remembered.sequence);
  out.raw(remembered.bundle);
  out.sized(encode_outcomes(remembered.outcomes));
  return std::move(out).take();
}
Result<Remembered> decode_remembered(std::string_view bytes) {
  base::ByteReader in(base::as_bytes(bytes));
  TRY_DO(read_version(in, kVersion, "a client's result"));
  Remembered remembered;
  TRY(remembered.sequence, in.u64());
  TRY_DO(read_array(in, remembered.bundle));
  TRY(const auto outcomes, in.sized(state::kValueBytesMax));
  TRY(remembered.outcomes, decode_outcomes(outcomes));
  TRY_DO(in.end());
  return remembered;
}

base::Bytes encode(const std::vector<KnownCheckpoint>& checkpoints) {
  base::ByteWriter out;
  out.u8(kVersion);
  for (const auto& checkpoint : checkpoints) {
    out.u64(checkpoint.slot);
    out.raw(checkpoint.root);
  }
  return std::move(out).take();
}
Result<std::vector<KnownCheckpoint>> decode_checkpoints(std::string_view bytes) {
  base::ByteReader in(base::as_bytes(bytes));
  TRY_DO(read_version(in, kVersion, "checkpoints"));
  std::vector<KnownCheckpoint> checkpoints;
  while (in.remaining() > 0) {
    KnownCheckpoint& checkpoint = checkpoints.emplace_back();
    TRY(checkpoint.slot, in.u64());
    TRY_DO(read_array(in, checkpoint.root));
  }
  return checkpoints;
}

Result<std::optional<std::string>> read_system(const state::View& view, std::string_view key) {
  TRY(auto row, state::read_row_at(view.reader(), state::full_key(state::Space::System, key),
                                   ~state::Stamp(0)));
  if (!row || row->second.deleted) return std::optional<std::string>();
  return std::move(row->second.value);
}

Result<std::optional<Remembered>> find_remembered(const state::View& view, const Bundle& bundle) {
  TRY(const auto stored, read_system(view, result_key(bundle.client, bundle.sequence)));
  if (!stored) return std::optional<Remembered>();
  return decode_remembered(*stored);
}

Outcome refuse(Errc code, std::string message) {
  return state::refusal(base::make_error(code, std::move(message)));
}

}  // namespace

base::Bytes encode_outcomes(const std::vector<Outcome>& outcomes) {
  base::ByteWriter out;
  out.u16(static_cast<std::uint16_t>(outcomes.size()));
  for (const auto& outcome : outcomes) out.sized(state::encode(outcome));
  return std::move(out).take();
}

Result<std::vector<Outcome>> decode_outcomes(base::BytesView bytes) {
  base::ByteReader in(bytes);
  TRY(const auto count, read_count(in, kOperationsPerBundleMax, "outcomes"));
  std::vector<Outcome> outcomes;
  for (std::size_t i = 0; i < count; ++i) {
    TRY(const auto encoded, in.sized(state::kValueBytesMax));
    TRY(auto outcome, state::decode_outcome(encoded));
    outcomes.push_back(std::move(outcome));
  }
  TRY_DO(in.end());
  return outcomes;
}

Executor::Executor(const Genesis& genesis, std::unique_ptr<state::Machine> machine,
                   state::Storage& storage, const Versions& versions)
    : cluster_(cluster_of(genesis)),
      first_(first_configuration(genesis)),
      window_(genesis.window),
      checkpoint_interval_(genesis.checkpoint_interval),
      versions_(versions),
      machine_(std::move(machine)),
      storage_(storage) {}

Result<std::unique_ptr<Executor>> Executor::open(const Genesis& genesis, state::Storage& storage,
                                                 const state::MachineOptions& options,
                                                 const Versions& versions) {
  TRY(auto machine, state::Machine::open(storage, options));
  std::unique_ptr<Executor> executor(new Executor(genesis, std::move(machine), storage, versions));
  TRY_DO(executor->load());
  return executor;
}

Result<> Executor::load() {
  TRY(const auto view, state::View::of(storage_));
  applied_digest_ = first_.start_digest;
  operations_ = time_ = 0;
  configuration_ = first_;
  checkpoints_.clear();
  TRY(const auto last, read_system(view, kLastKey));
  if (last) {
    TRY(const auto slot, decode_last(*last));
    applied_digest_ = slot.block;
    operations_ = slot.operations;
    time_ = slot.time;
  }
  TRY(const auto configuration, read_system(view, kConfigurationKey));
  if (configuration) {
    TRY(configuration_, decode_configuration(base::as_bytes(*configuration)));
  }
  if (const Version version = configuration_.voters.version; !versions_.contain(version)) {
    return base::fail(
        Errc::Unsupported,
        fmt::format("the cluster goes by version {} after slot {}; this program "
                    "knows {} to {}",
                    version, configuration_.start, versions_.oldest, versions_.newest));
  }
  TRY(const auto checkpoints, read_system(view, kCheckpointsKey));
  if (checkpoints) {
    TRY(checkpoints_, decode_checkpoints(*checkpoints));
  }
  // A crash may have come between a slot and its checkpoint.
  if (is_checkpoint(applied()) && !checkpoint_root()) TRY_DO(machine_->checkpoint());
  return {};
}

Result<> Executor::recover() {
  TRY_DO(machine_->recover());
  return load();
}

Result<> Executor::reload() {
  TRY_DO(machine_->reload());
  return load();
}

Result<> Executor::drop() {
  TRY_DO(machine_->drop());
  return load();
}

bool Executor::is_checkpoint(Slot slot) const {
  return slot > 0 && (slot % checkpoint_interval_ == 0 || slot == configuration_.start);
}

base::PublicKey Executor::proposer_of(const Block& block) const {
  const auto& keys = configuration_.voters.keys;
  return block.proposer < keys.size() ? keys[block.proposer] : base::PublicKey{};
}

void Executor::keep_configuration() {
  if (!before_) before_ = configuration_;
}

bool Executor::hashes_many(const Link& link) const {
  // Of one operation: a few keys, and what is kept for its client.
  constexpr std::size_t kChanges = 4;
  return is_checkpoint(link.block.slot) || machine_->may_fold(kChanges * link.block.operations());
}

std::optional<base::Digest> Executor::checkpoint_root() const {
  const auto& kept = machine_->checkpoints();
  if (kept.empty() || kept.back().slot != applied()) return std::nullopt;
  return kept.back().tree.root;
}

Result<Executed> Executor::apply(const Link& link) {
  const Block& block = link.block;
  Executed executed{block.slot, 0, block.time, operations_, {}, {}, {}, {}, {}, {}};
  before_.reset();
  const auto made = checkpoint_root();
  if (made) {
    checkpoints_.push_back({applied(), *made});
    if (checkpoints_.size() > state::kCheckpointsKept) checkpoints_.erase(checkpoints_.begin());
  }
  TRY(const auto slot, machine_->begin(block.slot, block.time));
  if (made) TRY_DO(slot->set_system(kCheckpointsKey, text(encode(checkpoints_))));
  std::uint64_t before_bundle = operations_;
  for (std::size_t i = 0; i < block.bundles.size(); ++i) {
    TRY(auto result, execute(*slot, link, i, before_bundle));
    executed.results.push_back(std::move(result));
    before_bundle += block.bundles[i]->operations.size();
  }
  // One change at a time: a liar that was proven meanwhile is isolated by a later slot.
  if (configuration_.next && configuration_.next->after == block.slot) {
    keep_configuration();
    begin_next(configuration_, link.digest);
  } else if (!configuration_.proven.empty()) {
    keep_configuration();
    (void)isolate_proven(configuration_, block.slot + window_, proposer_of(block));
  }
  if (before_ && configuration_.next && configuration_.next != before_->next)
    executed.next = configuration_.next;
  if (before_ && configuration_ != *before_) executed.configuration = configuration_;
  if (executed.configuration || block.slot == 1)
    TRY_DO(slot->set_system(kConfigurationKey, text(encode(configuration_))));
  base::ByteWriter last;
  last.raw(link.digest);
  last.u64(operations_ + block.operations());
  last.u64(block.time);
  TRY_DO(slot->set_system(kLastKey, base::as_text(last.view()), state::Shown::WhenStored));
  TRY_DO(slot->finish());
  applied_digest_ = link.digest;
  operations_ += block.operations();
  time_ = block.time;
  executed.revision = machine_->revision();
  executed.changes = slot->take_changes();
  executed.lease_end = machine_->lease_end();
  if (is_checkpoint(block.slot)) {
    TRY(const auto checkpoint, machine_->checkpoint());
    executed.root = checkpoint.tree.root;
  }
  return executed;
}

Result<BundleResult> Executor::execute(state::SlotApply& slot, const Link& link, std::size_t index,
                                       std::uint64_t operations_before) {
  const Bundle& bundle = *link.block.bundles[index];
  BundleResult result{bundle.client, bundle.sequence, {}};
  const Member* const client = configuration_.find(bundle.client);
  if (client == nullptr) {
    result.outcomes.push_back(refuse(
        Errc::Forbidden, "the client is no member of this cluster; nothing of it was executed"));
    result.refused = true;
    return result;
  }
  const std::string key = result_key(bundle.client, bundle.sequence);
  TRY(const auto stored, slot.system(key));
  const bool forgotten = mutant(Mutant::WindowsOutsideState) && !remembered_.contains(key);
  if (stored && !forgotten && !mutant(Mutant::ExecutedTwice)) {
    TRY(auto earlier, decode_remembered(*stored));
    if (earlier.sequence == bundle.sequence && earlier.bundle == link.bundle_digests[index]) {
      result.outcomes = std::move(earlier.outcomes);
      result.repeated = true;
      return result;
    }
    if (earlier.sequence >= bundle.sequence) {
      auto refused = refuse(Errc::FailedPrecondition,
                            fmt::format("the client's bundle {} comes after {}, and at most {} may "
                                        "be under way; nothing of it was executed",
                                        bundle.sequence, earlier.sequence, kClientWindow));
      refused.number = earlier.sequence;
      result.outcomes.push_back(std::move(refused));
      result.refused = true;
      return result;
    }
  }
  if (mutant(Mutant::WindowsOutsideState)) remembered_.insert(key);
  // A copy: the bundle may change the configuration.
  const Member member = *client;
  for (const auto& operation : bundle.operations) {
    TRY(auto outcome, execute(slot, link.block, member, operation, ++operations_before));
    if (outcome.message.size() > kRefusalBytesMax) outcome.message.resize(kRefusalBytesMax);
    result.outcomes.push_back(std::move(outcome));
  }
  TRY_DO(slot.set_system(
      key, text(encode(Remembered{bundle.sequence, link.bundle_digests[index], result.outcomes})),
      state::Shown::WhenStored));
  return result;
}

Result<Outcome> Executor::execute(state::SlotApply& slot, const Block& block, const Member& client,
                                  base::BytesView bytes, std::uint64_t position) {
  const bool newest = mutant(Mutant::NewestExecuted);
  const auto command =
      decode_command(bytes, newest ? versions_.newest : configuration_.voters.version);
  if (!command) return state::refusal(command.error());
  if (const auto* on_state = std::get_if<OnState>(&*command))
    return slot.apply_encoded(on_state->operation);
  const auto deadline = deadline_of(bytes);
  if (deadline != 0 && block.time > deadline) {
    return refuse(Errc::TimedOut,
                  "the command's deadline had passed when it was ordered; nothing changed");
  }
  if (const auto* evidence = std::get_if<OnCluster<Evidence>>(&*command)) {
    keep_configuration();
    const auto liar = accuse(cluster_, configuration_, evidence->change);
    if (!liar) return state::refusal(liar.error());
    TRY_DO(slot.set_system(evidence_key(*liar), text(bytes)));
    return Outcome{.number = configuration_.voters.epoch};
  }
  if (std::holds_alternative<OnCluster<Proposed>>(*command)) return Outcome{.number = position};
  if (client.role != Role::Operator) {
    return refuse(Errc::Forbidden, fmt::format("a {} may not change the cluster; operators can",
                                               to_text(client.role)));
  }
  keep_configuration();
  Result<> changed;
  if (const auto* members = std::get_if<OnCluster<ChangeMembers>>(&*command)) {
    changed = change_members(configuration_, members->change);
    if (changed) {
      for (const auto& gone : members->change.remove) {
        for (std::uint64_t i = 0; i < kClientWindow; ++i)
          TRY_DO(slot.set_system(result_key(gone, i), std::nullopt));
      }
    }
  } else if (const auto* version = std::get_if<OnCluster<ChangeVersion>>(&*command)) {
    changed = change_version(cluster_, configuration_, version->change, block.slot + window_,
                             proposer_of(block), checkpoints_);
  } else {
    const auto& voters = std::get<OnCluster<ChangeVoters>>(*command);
    changed = change_voters(cluster_, configuration_, voters.change, block.slot + window_,
                            proposer_of(block), checkpoints_);
  }
  if (!changed) return state::refusal(changed.error());
  return Outcome{.number = configuration_.next ? configuration_.next->voters.epoch
                                               : configuration_.voters.epoch};
}

Result<std::optional<BundleResult>> find_result(const state::View& view, const Bundle& bundle) {
  TRY(auto found, find_remembered(view, bundle));
  if (!found || found->sequence != bundle.sequence || found->bundle != digest_of(bundle))
    return std::optional<BundleResult>();
  return BundleResult{bundle.client, bundle.sequence, std::move(found->outcomes), true, false};
}

Result<bool> is_over(const state::View& view, const Bundle& bundle) {
  TRY(const auto found, find_remembered(view, bundle));
  return found && found->sequence >= bundle.sequence;
}

Result<Configuration> configuration_of(const state::View& view, const Genesis& genesis) {
  TRY(const auto stored, read_system(view, kConfigurationKey));
  if (!stored) return first_configuration(genesis);
  return decode_configuration(base::as_bytes(*stored));
}

Result<LastSlot> decode_last(std::string_view record) {
  base::ByteReader in(base::as_bytes(record));
  LastSlot last;
  TRY_DO(read_array(in, last.block));
  TRY(last.operations, in.u64());
  TRY(last.time, in.u64());
  TRY_DO(in.end());
  return last;
}

Result<std::vector<Evidence>> evidence_in(const state::View& view, const Genesis& genesis) {
  TRY(const auto configuration, configuration_of(view, genesis));
  std::vector<Evidence> all;
  for (const auto& liar : configuration.proven) {
    TRY(const auto stored, read_system(view, evidence_key(liar)));
    if (!stored) return base::fail(Errc::DataLoss, "the proof of a lie is gone");
    TRY(const auto command, decode_command(base::as_bytes(*stored)));
    const auto* evidence = std::get_if<OnCluster<Evidence>>(&command);
    if (evidence == nullptr) return base::fail(Errc::DataLoss, "the proof of a lie is none");
    all.push_back(evidence->change);
  }
  return all;
}

}  // namespace hypermesh::consensus
