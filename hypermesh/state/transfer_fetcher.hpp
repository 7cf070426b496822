#pragma once

#include "state/local_meta.hpp"
#include "state/transfer_edits.hpp"
#include "state/transfer_staging.hpp"

namespace hypermesh::state {

/// A certified checkpoint of the others.
struct TransferTarget {
  Slot slot = 0;
  base::Digest root{};
  bool operator==(const TransferTarget&) const = default;
};

struct FetcherOptions {
  std::size_t requests_max = 4;  ///< On their way at once.
  std::size_t items_max = 64;    ///< Of one request; at most kTransferItemsMax.
};

struct TransferProgress {
  std::uint64_t bytes_asked = 0, bytes_received = 0;  ///< Of requests, and of good answers.
  std::uint64_t leaves = 0;                           ///< Fetched.
  std::uint64_t bad_answers = 0;
  /// Items that did not verify but may be an accident of hints; asked for again exactly.
  std::uint64_t doubted = 0;
};

/// Brings a storage to a certified checkpoint: walks its tree from the root, asks only for what
/// differs from the local tree, and checks every piece against the hash that its parent wants
/// before it is kept.
///
/// Plain: requests out, answers in. What is verified is staged in the storage at once, so that a
/// fetcher started again, for the same target or a newer one, asks for the rest only. Until
/// `finish` the local state is untouched and may be read; no slot may be applied meanwhile.
///
/// After an error of the storage this fetcher is done for; NotVerified, DataLoss and NotFound of
/// `on_answer` are about the answer, and the transfer goes on.
class Fetcher {
 public:
  struct Request {
    std::uint64_t id = 0;
    base::Bytes bytes;
  };

  /// `storage` is borrowed. Errors: FailedPrecondition (the local state is newer than the target,
  /// or was not flushed by its Machine).
  static base::Result<std::unique_ptr<Fetcher>> start(Storage& storage,
                                                      const TransferTarget& target,
                                                      FetcherOptions options);

  /// What to ask now, of whom the caller likes; empty while enough is on its way.
  /// Errors: of the storage.
  base::Result<std::vector<Request>> next_requests();
  /// Errors: NotVerified, DataLoss (the answer is bad: its sender lies or is broken; the rest of it
  /// is asked for again), NotFound (the sender does not keep the checkpoint).
  base::Result<> on_answer(std::uint64_t id, base::BytesView answer);
  /// There will be no answer; its items are asked for again.
  void on_failure(std::uint64_t id);

  /// Everything is here and verified.
  bool complete() const { return waiting_.empty() && asked_.empty(); }
  const TransferProgress& progress() const { return progress_; }

  /// Switches to the fetched state: a crash leaves the old one or, after the next opening, the new
  /// one. Then Machine::reload. Call when complete.
  /// Errors: FailedPrecondition (the local state has moved on: start again), of the storage.
  base::Result<> finish();

 private:
  // What our own tree has at a path: an inner node, a leaf or nothing.
  struct Ours {
    NodeRef node;
    std::uint64_t leaves = 0;  // below the node
    std::optional<Leaf> leaf;
  };
  struct Want {
    Path path;
    base::Digest hash{};
    Ours ours;
    bool exact = false;
    std::optional<std::vector<Leaf>> listed;  // what the question named
  };

  Fetcher(Storage& storage, const TransferTarget& target, FetcherOptions options, LocalMeta meta)
      : storage_(storage),
        nodes_(storage),
        target_(target),
        options_(options),
        meta_(std::move(meta)) {}

  base::Result<TransferItem> question(Want& want);
  base::Result<> list(const Ours& ours, const Path& path, std::vector<Leaf>& leaves);
  base::Result<> need(Want want);
  base::Result<> need_children(const Want& parent, const StagedNode& node, std::uint16_t here);
  base::Result<> take(const Want& want, const TransferNode& node, Storage::Batch& batch);
  base::Result<> take(const Want& want, const LeafEdits& subtree, Storage::Batch& batch);
  base::Result<> stage_merged(Storage::Batch& batch, const Path& path,
                              std::span<const MergedLeaf> leaves, const Ours& ours);
  base::Result<Node> node_of(const Ours& ours, const Path& path);
  static Ours below(const Node& node, const Ours& ours, const Path& path, int index);
  base::Result<TransferLeaf> local_copy(const Leaf& leaf) const;
  base::Result<std::optional<Leaf>> local_leaf_of_hash(const Want& want);
  std::unexpected<base::Error> fail_for_good(base::Error error);
  base::Result<> refuse(const Want& want, bool hinted, const char* why);

  Storage& storage_;
  NodeReader nodes_;
  TransferTarget target_;
  FetcherOptions options_;
  LocalMeta meta_;  // of the local state when it began
  bool look_in_staging_ = false;
  std::vector<Want> waiting_;  // the last is asked first: deep before wide, so that few wait
  std::map<std::uint64_t, std::vector<Want>> asked_;
  std::uint64_t last_id_ = 0;
  std::uint64_t taken_ = 0;             // items of answers
  std::optional<base::Error> failure_;  // of the storage
  TransferProgress progress_;
};

}  // namespace hypermesh::state
