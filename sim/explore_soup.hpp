#pragma once

#include <deque>
#include <set>
#include <unordered_map>

#include "sim/cluster.hpp"
#include "sim/explore.hpp"

namespace sim {

using hypermesh::consensus::MessagePtr;
using hypermesh::consensus::ReplicaId;
using hypermesh::consensus::Slot;
using hypermesh::consensus::View;

using SpokenId = std::uint16_t;
using MoveId = std::uint32_t;
using SoupId = std::uint32_t;
using MenuId = std::uint32_t;
inline constexpr std::size_t kSpokenMax = 512;
inline constexpr std::size_t kExplored = 4;  ///< Replicas.

/// Something that can happen to one replica.
struct Move {
  enum class Kind : std::uint8_t { Hear, GiveUp, GoSlow, Crash } kind = Kind::Hear;
  std::vector<std::pair<ReplicaId, MessagePtr>> heard;
  std::string text;
};

/// What one replica finds.
struct Menu {
  std::vector<MoveId> moves;
  std::set<base::Digest> committed;  ///< Blocks that a quorum did.
};

/// All that honest replicas have said, what the liar makes of it, and what can therefore happen.
class Soups {
 public:
  explicit Soups(const Bounds& bounds);

  const Cluster& cluster() const { return cluster_; }
  bool honest(std::size_t replica) const { return replica != bounds_.liar; }
  bool somebody_lies() const { return bounds_.liar < kExplored; }
  /// The soup in which nothing was said.
  SoupId empty() const { return 0; }
  struct Added {
    SoupId soup = 0;
    std::string failure;  ///< What an honest replica may not say, or no quorum sign.
  };
  Added add(SoupId soup, ReplicaId replica, std::uint32_t list);
  /// What may be added: the number of this list.
  std::uint32_t intern(ReplicaId replica, const std::vector<pbft::Send>& sent);
  /// Equal in soups that differ in nothing for this replica: what it may hear, and what it said.
  MenuId menu_id(SoupId soup, std::size_t replica);
  const Menu& menu(MenuId id) const { return menus_[id]; }
  const Move& move(MoveId id) const { return moves_[id]; }
  std::size_t size() const { return soups_.size(); }

 private:
  struct Spoken {
    ReplicaId from = 0;
    MessagePtr message;
  };
  struct Said {
    std::array<std::uint64_t, kSpokenMax / 64> words{};
    bool has(SpokenId id) const { return (words[id / 64] >> id % 64 & 1) != 0; }
    void put(SpokenId id) { words[id / 64] |= std::uint64_t{1} << id % 64; }
    friend auto operator<=>(const Said&, const Said&) = default;
  };
  struct Soup {
    Said said;
    bool opened = false;
    std::array<MenuId, kExplored> menus{};
  };
  using Statement = hypermesh::consensus::Statement;
  using Claim = hypermesh::consensus::Claim;
  struct ByStatement {
    bool operator()(const Statement& a, const Statement& b) const {
      return std::tie(a.phase, a.view, a.slot, a.digest) <
             std::tie(b.phase, b.view, b.slot, b.digest);
    }
  };
  using Tally = std::map<Statement, std::vector<ReplicaId>, ByStatement>;

  SpokenId intern(ReplicaId from, const MessagePtr& message);
  void learn(const hypermesh::consensus::LinkPtr& link);
  bool extends(base::Digest digest, Slot slot, const Statement& ancestor) const;
  std::vector<hypermesh::consensus::LinkPtr> chain(base::Digest tip, Slot above) const;
  std::string check_words(const Said& before, ReplicaId speaker,
                          const hypermesh::consensus::Message& message) const;
  std::string check_quorums(const Said& said) const;
  template <class Type, class Then>
  void each(const Said& said, const Then& then) const;  // Of one type of message, and who said it.
  Tally tally(const Said& said) const;
  // The liar signs whatever honest replicas do.
  bool certified(const Statement& statement, const std::vector<ReplicaId>& honest) const;
  std::vector<ReplicaId> with_liar(const std::vector<ReplicaId>& honest) const;
  ReplicaId carrier(std::size_t to) const;
  hypermesh::consensus::Certificate certificate(const Statement& statement,
                                                const std::vector<ReplicaId>& honest) const;

  void open(SoupId soup);
  void offer(std::size_t to, Move move);
  void offer_all(ReplicaId from, hypermesh::consensus::Message message, std::string text);
  void offer_votes(const Tally& tally);
  void offer_fast_path(const Said& said, const Tally& tally);
  void offer_blocks(const Said& said);
  std::vector<std::vector<base::Digest>> held_chains(const Said& said, const Claim& claim) const;
  void offer_view(const Said& said, const Tally& tally);
  void offer_lies(const Said& said, const Tally& tally);
  std::vector<hypermesh::consensus::LinkPtr> blocks_of(const Said& said) const;
  hypermesh::consensus::LinkPtr block(ReplicaId proposer,
                                      const hypermesh::consensus::LinkPtr& parent,
                                      std::size_t bundle, base::Duration ahead = {});

  const Bounds bounds_;
  Cluster cluster_;
  hypermesh::consensus::BundlePtr bundles_[2];
  std::map<base::Digest, hypermesh::consensus::LinkPtr> links_;
  std::vector<Spoken> spoken_;
  std::map<base::Bytes, SpokenId> spoken_by_name_;
  std::vector<std::vector<SpokenId>> lists_;
  std::map<std::vector<SpokenId>, std::uint32_t> list_by_content_;
  std::vector<Move> moves_;
  std::map<base::Bytes, MoveId> move_by_name_;
  std::vector<Soup> soups_;
  std::deque<Menu> menus_;
  std::map<std::tuple<ReplicaId, std::vector<MoveId>, Said, std::set<base::Digest>>, MenuId>
      menu_by_content_;
  std::array<std::vector<MoveId>, kExplored> offers_;  // Of the soup that is being opened.
  std::map<Said, SoupId> soup_by_content_;
  std::unordered_map<std::uint64_t, Added> added_;
};

template <class Type, class Then>
void Soups::each(const Said& said, const Then& then) const {
  for (SpokenId id = 1; id < spoken_.size(); ++id) {
    const auto* message = said.has(id) ? std::get_if<Type>(&*spoken_[id].message) : nullptr;
    if (message != nullptr) then(spoken_[id].from, *message);
  }
}

}  // namespace sim
