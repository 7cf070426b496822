#pragma once

#include <algorithm>
#include <array>

#include "consensus/execution/executor.hpp"
#include "consensus/log/segment_log.hpp"
#include "consensus/log/testing/memory_disk.hpp"
#include "sim/ideal_cipher.hpp"
#include "sim/words.hpp"
#include "sim/world.hpp"
#include "state/memory_storage.hpp"
#include "state/transfer_fetcher.hpp"
#include "state/transfer_sources.hpp"

namespace sim {

using hypermesh::consensus::pbft::Lsn;

std::string describe(const hypermesh::consensus::Message& message);

inline Duration micros(std::uint64_t count) {
  return std::chrono::microseconds(count);
}

class World::NodeSigner final : public pbft::Signer {
 public:
  NodeSigner(const Keys& keys, const base::PublicKey& key) : keys_(keys), key_(key) {}
  base::Signature sign(base::BytesView bytes) override { return keys_.sign(key_, bytes); }

 private:
  const Keys& keys_;
  const base::PublicKey key_;
};

/// A node fetches a checkpoint's state from the others.
struct Fetching {
  hypermesh::consensus::StableCheckpoint checkpoint;
  std::unique_ptr<hypermesh::state::Fetcher> fetcher;
};

struct World::Node {
  Node(std::size_t i, const Keys& keys, const base::PublicKey& public_key, std::uint64_t seed)
      : index(i),
        key(public_key),
        signer(keys, public_key),
        work(mixed(seed, 4 * i)),
        network(mixed(seed, 4 * i + 1)),
        disk_rng(mixed(seed, 4 * i + 2)),
        lies(mixed(seed, 4 * i + 3)),
        disk_seed(mixed(seed, 3000 + i)),
        disk(disk_seed) {}

  const std::size_t index;
  const base::PublicKey key;
  NodeSigner signer;
  // Of its own, so that a fault that is left out changes little elsewhere.
  base::SeededRng work, network, disk_rng, lies;
  std::string lie;        ///< Empty: honest.
  std::int64_t skew = 0;  ///< Of its clock, microseconds.
  Nodes bit() const { return Nodes{1} << index; }
  bool honest() const { return lie.empty(); }

  hypermesh::consensus::Version newest = 1;  ///< That its program can go by.
  hypermesh::consensus::Versions versions() const { return {1, newest}; }

  bool absent = false;   ///< It has not joined yet.
  bool gone = false;     ///< It never comes back: its disk is lost, or it is no member any more.
  bool forgot = false;   ///< Its disk was lost; its key is the same, and it votes no more.
  bool damaged = false;  ///< Promises may be lost with its log: it follows, and votes no more.
  /// A bit rotted in what was written last, which no log can tell from a write that a crash cut
  /// short: it goes on voting, and may contradict what it said. It is among the f that may fail.
  bool forgets = false;

  std::unique_ptr<pbft::Replica> replica;  ///< Null while it is down.
  std::uint64_t incarnation = 0;
  std::uint64_t execution = 0;                   ///< Of the state that slots are applied to.
  MonotonicTime wake_at = MonotonicTime::max();  ///< What the replica asked for,
  MonotonicTime armed = MonotonicTime::max();    ///< and for when there is an event.
  std::vector<pbft::Send> held;                  ///< Until their records are durable.
  std::uint64_t sends = 0;
  std::vector<std::pair<std::uint64_t, Duration>> crashes_at_send;

  // Who is who, of its epoch and configuration.
  std::array<std::optional<pbft::PeerId>, kNodesMax> peers;
  std::vector<std::size_t> voters;  ///< Indices of nodes, by replica id.

  /// Of clients that read here and have no answer yet, by the engine's ticket.
  struct Asking {
    std::size_t client = 0;
    std::string key;
    MonotonicTime begun{};
  };
  std::map<pbft::Ticket, Asking> asking;
  pbft::Ticket last_read = 0;

  // What is wrong with its links and its disk, in thousandths.
  std::uint64_t loss = 0, duplication = 0, slow_links = 0, slow_disk = 0;

  // Its log.
  std::uint64_t disk_seed;
  hypermesh::consensus::testing::MemoryDisk disk;
  IdealCipher cipher;
  std::unique_ptr<hypermesh::consensus::Log> log;
  std::optional<hypermesh::consensus::LogBatch> writing;
  Lsn durable = 0;
  Lsn awaited = 0;  ///< The last record that somebody waits for: later ones can be lazy.
  Lsn told = 0;     ///< Durable before the last write: the log has to know that it was.
  Lsn rotten = 0;   ///< The record in which a bit flipped.
  std::optional<pbft::Release> release;
  Slot release_stable = 0;
  Slot certified = 0;  ///< The last checkpoint that its log will say was certified.
  Slot fetched = 0;    ///< The last whose state it fetched: there is none before.

  // Its state.
  hypermesh::state::MemoryStorage storage;
  std::unique_ptr<hypermesh::consensus::Executor> executor;
  MonotonicTime apply_at{};
  std::uint64_t block_time = 0;  ///< Of the last block it executed.
  bool flush_due = false;
  Slot on_disk = 0;
  bool stateless = false;  ///< It was lost in this life, and is fetched anew.
  std::optional<hypermesh::consensus::StableCheckpoint> stable;  ///< The last that it heard of.
  std::optional<hypermesh::consensus::StableCheckpoint> needed;  ///< Whose state it fetches.
  std::unique_ptr<Fetching> fetching;
  // Of this life: whom it asks for state, and what it asked, by transfer and request.
  using Sources = hypermesh::state::TransferSources<std::size_t>;
  Sources sources;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Sources::Asked> asked;
  std::vector<pbft::Apply> waiting;  ///< Blocks that came meanwhile.
  Slot applied() const { return executor ? executor->applied() : 0; }

  Words words;
  struct Place {
    hypermesh::consensus::Epoch epoch = 0;
    View view = 0;
    Slot slot = 0;
    hypermesh::consensus::Phase phase{};
    friend auto operator<=>(const Place&, const Place&) = default;
  };
  std::map<std::pair<View, Slot>, base::Digest> other_blocks;  ///< What a liar told some.
  // What liars told it in this life that its replica should remember, and the slot that was
  // executed last when one of them contradicted himself.
  std::map<std::tuple<Place, std::size_t>, base::Digest> heard;
  std::map<std::size_t, Slot> caught;
  std::vector<PacketPtr> once_said;
  std::map<View, Slot> first_of_view;  ///< That a liar proposed.
  std::map<View, hypermesh::consensus::LinkPtr> invented_bases;
};

}  // namespace sim
