#pragma once

// Who takes part in a cluster, as part of its ordered state; docs/design/0010 says why changes are
// made this way.

#include <optional>
#include <string>
#include <vector>

#include "consensus/types.hpp"

namespace hypermesh::consensus {

inline constexpr std::size_t kMembersMax = 1024;
inline constexpr std::size_t kEndpointBytesMax = 255;

enum class Role : std::uint8_t {
  Node = 1,      ///< Keeps a verified copy, and may be made a voter.
  Client = 2,    ///< Submits operations.
  Operator = 3,  ///< Changes the configuration.
};
std::string_view to_text(Role role);

struct Member {
  base::PublicKey key{};
  Role role = Role::Node;
  std::string endpoint;  ///< Where a node listens; empty for others.
  friend bool operator==(const Member&, const Member&) = default;
};

struct Configuration {
  std::vector<Member> members;  ///< Ascending by key.
  Voters voters;                ///< Of the epoch under way; each is a member.
  Slot start = 0;               ///< Last slot of the epoch before, and the digest of its block.
  base::Digest start_digest{};
  std::optional<NextEpoch> next;        ///< Ordered, not begun.
  std::optional<Voters> before;         ///< Of the epoch before: evidence may come late.
  std::vector<base::PublicKey> proven;  ///< Voters whose lies are proven, in that order.
  friend bool operator==(const Configuration&, const Configuration&) = default;

  const Member* find(const base::PublicKey& key) const;
  void put(Member member);
  bool remove(const base::PublicKey& key);
};

base::Bytes encode(const Configuration& configuration);
/// Errors: DataLoss, InvalidArgument.
base::Result<Configuration> decode_configuration(base::BytesView bytes);

void write(base::ByteWriter& out, const Member& member);
base::Result<> read(base::ByteReader& in, Member& member);

/// What a cluster begins with. Its digest is the cluster's id, which every signature covers.
struct Genesis {
  std::string name;  ///< 1 to 64 bytes.
  std::vector<Member> members;
  std::vector<base::PublicKey> voters;
  Slot window = 64;
  Slot checkpoint_interval = 1000;
};
base::Bytes encode(const Genesis& genesis);
/// Errors: DataLoss, InvalidArgument (what a cluster cannot begin with).
base::Result<Genesis> decode_genesis(base::BytesView bytes);
ClusterId cluster_of(const Genesis& genesis);
Configuration first_configuration(const Genesis& genesis);

}  // namespace hypermesh::consensus
