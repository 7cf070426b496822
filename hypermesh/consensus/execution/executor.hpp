#pragma once

// Executes ordered blocks: each client's bundles once, changes of the configuration, and operations
// on the replicated keys. Everything that decides how is itself in the state, so that a replica
// that fetches the state goes on like one that executed all of it.

#include <memory>
#include <set>

#include "consensus/block.hpp"
#include "consensus/execution/command.hpp"
#include "state/machine.hpp"
#include "state/view.hpp"

namespace hypermesh::consensus {

/// A client may have bundles under way whose sequence numbers differ by less than this.
inline constexpr std::uint64_t kClientWindow = 64;

/// What became of one bundle: the same at every replica.
struct BundleResult {
  base::PublicKey client{};
  std::uint64_t sequence = 0;
  std::vector<state::Outcome> outcomes;  ///< One for each operation.
  bool repeated = false;  ///< Executed in an earlier slot or place; these are the outcomes of then.
  /// As a whole: the one outcome says why. FailedPrecondition: its number is the sequence number
  /// that it came after.
  bool refused = false;
  friend bool operator==(const BundleResult&, const BundleResult&) = default;
};

struct Executed {
  Slot slot = 0;
  state::Revision revision = 0;
  std::uint64_t time = 0;               ///< Ordered, nanoseconds of UTC.
  std::uint64_t operations_before = 0;  ///< In all blocks before, those of refused bundles too.
  std::vector<BundleResult> results;    ///< As in the block.
  std::optional<NextEpoch> next;        ///< This slot ordered other voters.
  std::optional<Configuration> configuration;  ///< If the slot changed it.
  std::optional<base::Digest> root;            ///< Of a checkpoint.
  std::optional<std::uint64_t> lease_end;      ///< The next lease ends then, in ordered time.
  std::vector<state::LoggedRevision> changes;  ///< Of users' keys, in order, up to `revision`.
};

class Executor {
 public:
  /// `storage` is borrowed. Errors: those of Machine::open; Unsupported (the state is of a cluster
  /// that goes by none of these versions).
  static base::Result<std::unique_ptr<Executor>> open(const Genesis& genesis,
                                                      state::Storage& storage,
                                                      const state::MachineOptions& options,
                                                      const Versions& versions = {});

  Slot applied() const { return machine_->applied(); }
  /// Of the block in that slot; of the genesis before the first.
  const base::Digest& applied_digest() const { return applied_digest_; }
  const Configuration& configuration() const { return configuration_; }
  /// Ordered so far, as Executed::operations_before counts them.
  std::uint64_t operations() const { return operations_; }
  /// Of the block that was applied last.
  std::uint64_t time() const { return time_; }
  state::Machine& machine() { return *machine_; }

  /// Whether the block of the next slot brings many of the state's hashes up to date, for a
  /// checkpoint or because many changes wait for it: tens of milliseconds.
  bool hashes_many(const Link& link) const;
  /// The block of the next slot. Errors: of the storage; then recover().
  base::Result<Executed> apply(const Link& link);
  /// Of the slot that was applied last, if it is a checkpoint.
  std::optional<base::Digest> checkpoint_root() const;

  /// After an error; after a transfer has switched the storage; when the state is not to be
  /// trusted. Errors: as Machine's.
  base::Result<> recover();
  base::Result<> reload();
  base::Result<> drop();

 private:
  Executor(const Genesis& genesis, std::unique_ptr<state::Machine> machine, state::Storage& storage,
           const Versions& versions);
  base::Result<> load();
  bool is_checkpoint(Slot slot) const;
  base::PublicKey proposer_of(const Block& block) const;
  /// Before anything that may change the configuration.
  void keep_configuration();
  base::Result<BundleResult> execute(state::SlotApply& slot, const Link& link, std::size_t index,
                                     std::uint64_t operations_before);
  base::Result<state::Outcome> execute(state::SlotApply& slot, const Block& block,
                                       const Member& client, base::BytesView command,
                                       std::uint64_t position);

  const ClusterId cluster_;
  const Configuration first_;
  const Slot window_, checkpoint_interval_;
  const Versions versions_;
  std::unique_ptr<state::Machine> machine_;
  state::Storage& storage_;
  base::Digest applied_digest_{};
  std::uint64_t operations_ = 0, time_ = 0;
  Configuration configuration_;
  std::optional<Configuration> before_;       // As it was before the slot, if that may change it.
  std::vector<KnownCheckpoint> checkpoints_;  // That copies may be of: the last two.
  std::set<std::string> remembered_;          // Of Mutant::WindowsOutsideState alone.
};

/// What became of a bundle, if it was executed and is still in its client's window. Views have it
/// from the next checkpoint, flush or fetch on.
base::Result<std::optional<BundleResult>> find_result(const state::View& view,
                                                      const Bundle& bundle);
/// Whether nothing of it will be executed any more: it was, or it is behind its client's window.
base::Result<bool> is_over(const state::View& view, const Bundle& bundle);
base::Result<Configuration> configuration_of(const state::View& view, const Genesis& genesis);
/// The key of the configuration among those of state::Space::System, for proofs.
inline constexpr std::string_view kConfigurationKey = "configuration";
/// Likewise, of the last slot.
inline constexpr std::string_view kLastKey = "last";
struct LastSlot {
  base::Digest block{};
  std::uint64_t operations = 0;  ///< Ordered up to it.
  std::uint64_t time = 0;
};
/// Errors: DataLoss.
base::Result<LastSlot> decode_last(std::string_view record);
/// Proofs of lies, in the order of Configuration::proven.
base::Result<std::vector<Evidence>> evidence_in(const state::View& view, const Genesis& genesis);

base::Bytes encode_outcomes(const std::vector<state::Outcome>& outcomes);
/// Errors: DataLoss.
base::Result<std::vector<state::Outcome>> decode_outcomes(base::BytesView bytes);

}  // namespace hypermesh::consensus
