#include "consensus/execution/change.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "consensus/wire.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::PublicKey;
using base::Result;

namespace {

std::string short_name(const PublicKey& key) {
  return base::to_hex(base::BytesView(key).first(6));
}

bool contains(const std::vector<PublicKey>& keys, const PublicKey& key) {
  return std::ranges::find(keys, key) != keys.end();
}

Result<> under_way(const Configuration& configuration) {
  if (!configuration.next) return {};
  return base::fail(Errc::FailedPrecondition,
                    fmt::format("a change of voters is under way; epoch {} begins after slot {}",
                                configuration.next->voters.epoch, configuration.next->after));
}

// The next epoch with these voters, in which proven liars stay isolated.
Voters next_voters(const Configuration& configuration, std::vector<PublicKey> keys,
                   const std::vector<PublicKey>& isolated, const PublicKey& primary) {
  Voters voters{
      configuration.voters.epoch + 1, std::move(keys), {}, 0, configuration.voters.version};
  for (std::size_t i = 0; i < voters.keys.size(); ++i) {
    if (contains(isolated, voters.keys[i])) voters.isolated.push_back(static_cast<ReplicaId>(i));
  }
  // Whoever leads goes on, so that the change costs no election.
  voters.first_primary = voters.find(primary).value_or(0);
  return voters;
}

std::vector<PublicKey> isolated_keys(const Voters& voters) {
  std::vector<PublicKey> keys;
  for (const ReplicaId replica : voters.isolated) keys.push_back(voters.keys[replica]);
  return keys;
}

Result<> of_this_epoch(const Configuration& configuration, Epoch epoch) {
  const Epoch now = configuration.voters.epoch;
  if (epoch == now) return {};
  return base::fail(Errc::Conflict,
                    fmt::format("the change is of epoch {}; epoch {} is under way: look at the "
                                "voters again",
                                epoch, now));
}

Result<> check_copy(const ClusterId& cluster, const PublicKey& node,
                    const std::vector<Copy>& copies, Version version,
                    const std::vector<KnownCheckpoint>& checkpoints) {
  const auto copy = std::ranges::find(copies, node, &Copy::node);
  if (copy == copies.end()) {
    return base::fail(
        Errc::NotVerified,
        fmt::format("node {} has not shown that it holds a copy of the state", short_name(node)));
  }
  const auto known = std::ranges::find(checkpoints, KnownCheckpoint{copy->slot, copy->root});
  if (known == checkpoints.end()) {
    return base::fail(Errc::NotVerified,
                      fmt::format("node {} holds a copy of slot {}, which is none of the last "
                                  "checkpoints, or another state: it must fetch the newest",
                                  short_name(node), copy->slot));
  }
  if (!base::verify(node, signed_bytes(cluster, *copy), copy->signature)) {
    return base::fail(Errc::NotVerified,
                      fmt::format("the copy of node {} is not signed by it", short_name(node)));
  }
  if (copy->newest < version) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("the program of node {} knows versions up to {}; upgrade it to "
                                  "one that knows {}",
                                  short_name(node), copy->newest, version));
  }
  return {};
}

void write_claim(base::ByteWriter& out, const Copy& copy) {
  out.raw(copy.node);
  out.u64(copy.slot);
  out.raw(copy.root);
  out.u8(copy.newest);
}

}  // namespace

base::Bytes signed_bytes(const ClusterId& cluster, const Copy& copy) {
  base::ByteWriter out;
  out.raw(base::as_bytes("hypermesh copy 1"));
  out.raw(cluster);
  write_claim(out, copy);
  return std::move(out).take();
}

void write(base::ByteWriter& out, const Copy& copy) {
  write_claim(out, copy);
  out.raw(copy.signature);
}
Result<> read(base::ByteReader& in, Copy& copy) {
  TRY_DO(read_array(in, copy.node));
  TRY(copy.slot, in.u64());
  TRY_DO(read_array(in, copy.root));
  TRY(copy.newest, in.u8());
  return read_array(in, copy.signature);
}

Result<> change_members(Configuration& configuration, const ChangeMembers& change) {
  Configuration changed = configuration;
  std::set<PublicKey> named;
  const auto once = [&](const PublicKey& key) -> Result<> {
    if (named.insert(key).second) return {};
    return base::fail(Errc::InvalidArgument,
                      fmt::format("the change names {} twice", short_name(key)));
  };
  for (const Member& member : change.put) {
    TRY_DO(once(member.key));
    if ((member.role == Role::Node) == member.endpoint.empty()) {
      return base::fail(Errc::InvalidArgument,
                        member.role == Role::Node
                            ? fmt::format("node {} has no endpoint", short_name(member.key))
                            : fmt::format("{} {} has an endpoint; only nodes listen",
                                          to_text(member.role), short_name(member.key)));
    }
    const bool votes = configuration.voters.find(member.key).has_value() ||
                       (configuration.next && configuration.next->voters.find(member.key));
    if (votes && member.role != Role::Node) {
      return base::fail(Errc::FailedPrecondition,
                        fmt::format("{} votes, so it stays a node", short_name(member.key)));
    }
    changed.put(member);
  }
  for (const PublicKey& key : change.remove) {
    TRY_DO(once(key));
    if (configuration.voters.find(key) ||
        (configuration.next && configuration.next->voters.find(key))) {
      return base::fail(Errc::FailedPrecondition,
                        fmt::format("{} votes; change the voters before it goes", short_name(key)));
    }
    if (!changed.remove(key))
      return base::fail(Errc::NotFound, fmt::format("there is no member {}", short_name(key)));
  }
  if (changed.members.size() > kMembersMax) {
    return base::fail(Errc::ResourceExhausted, fmt::format("{} members; at most {} are allowed",
                                                           changed.members.size(), kMembersMax));
  }
  configuration = std::move(changed);
  return {};
}

Result<> change_voters(const ClusterId& cluster, Configuration& configuration,
                       const ChangeVoters& change, Slot after, const PublicKey& primary,
                       const std::vector<KnownCheckpoint>& checkpoints) {
  const Voters& now = configuration.voters;
  TRY_DO(of_this_epoch(configuration, change.epoch));
  TRY_DO(under_way(configuration));
  if (change.voters.empty() || change.voters.size() > kVotersMax) {
    return base::fail(Errc::InvalidArgument, fmt::format("{} voters; 1 to {} are allowed",
                                                         change.voters.size(), kVotersMax));
  }
  if (std::set(change.voters.begin(), change.voters.end()).size() != change.voters.size())
    return base::fail(Errc::InvalidArgument, "the change names a voter twice");
  if (change.voters == now.keys)
    return base::fail(Errc::InvalidArgument, "these are the voters already");
  for (const PublicKey& key : change.voters) {
    if (now.find(key)) continue;
    const Member* const member = configuration.find(key);
    if (member == nullptr || member->role != Role::Node)
      return base::fail(Errc::NotFound, fmt::format("there is no node {}", short_name(key)));
    if (contains(configuration.proven, key)) {
      return base::fail(Errc::FailedPrecondition,
                        fmt::format("node {} was proven to lie; it can come back with a new key",
                                    short_name(key)));
    }
    TRY_DO(check_copy(cluster, key, change.copies, now.version, checkpoints));
  }
  const auto gone = static_cast<std::size_t>(std::ranges::count_if(
      now.keys, [&](const PublicKey& key) { return !contains(change.voters, key); }));
  const std::size_t gone_max = std::max<std::size_t>(1, now.faulty_max());
  if (gone > gone_max) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("{} voters would go at once; of {} at most {} may: change them "
                                  "one after the other",
                                  gone, now.size(), gone_max));
  }
  auto voters = next_voters(configuration, change.voters, isolated_keys(now), primary);
  if (voters.isolated.size() > voters.faulty_max()) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("of {} voters {} would be isolated, and {} may fail: replace "
                                  "them first",
                                  voters.size(), voters.isolated.size(), voters.faulty_max()));
  }
  configuration.next = NextEpoch{std::move(voters), after};
  return {};
}

Result<> change_version(const ClusterId& cluster, Configuration& configuration,
                        const ChangeVersion& change, Slot after, const PublicKey& primary,
                        const std::vector<KnownCheckpoint>& checkpoints) {
  const Voters& now = configuration.voters;
  TRY_DO(of_this_epoch(configuration, change.epoch));
  TRY_DO(under_way(configuration));
  if (now.version == std::numeric_limits<Version>::max() || change.version != now.version + 1) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("version {} is wanted; the cluster goes by {}, and on to the "
                                  "next one only",
                                  change.version, now.version));
  }
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now.is_isolated(static_cast<ReplicaId>(i))) continue;
    TRY_DO(check_copy(cluster, now.keys[i], change.copies, change.version, checkpoints));
  }
  auto voters = next_voters(configuration, now.keys, isolated_keys(now), primary);
  voters.version = change.version;
  configuration.next = NextEpoch{std::move(voters), after};
  return {};
}

Result<PublicKey> accuse(const ClusterId& cluster, Configuration& configuration,
                         const Evidence& evidence) {
  const Epoch epoch = evidence.first.statement.epoch;
  const Voters* voters = epoch == configuration.voters.epoch ? &configuration.voters : nullptr;
  if (configuration.before && epoch == configuration.before->epoch) voters = &*configuration.before;
  if (voters == nullptr) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("evidence of epoch {}; only that of epoch {} and of the one "
                                  "before counts",
                                  epoch, configuration.voters.epoch));
  }
  TRY_DO(verify(cluster, *voters, evidence));
  const PublicKey liar = voters->keys[evidence.first.replica];
  if (contains(configuration.proven, liar)) {
    return base::fail(Errc::AlreadyExists,
                      fmt::format("{} was proven to lie before", short_name(liar)));
  }
  // Bounded: whoever no longer votes has nothing more to lose.
  std::erase_if(configuration.proven, [&](const PublicKey& key) {
    return !configuration.voters.find(key) && !configuration.find(key);
  });
  if (configuration.proven.size() >= kVotersMax)
    return base::fail(Errc::ResourceExhausted, "too many liars are kept; remove some members");
  configuration.proven.push_back(liar);
  return liar;
}

bool isolate_proven(Configuration& configuration, Slot after, const PublicKey& primary) {
  if (configuration.next) return false;
  const Voters& now = configuration.voters;
  auto isolated = isolated_keys(now);
  const std::size_t before = isolated.size();
  for (const PublicKey& liar : configuration.proven) {
    if (isolated.size() >= now.faulty_max()) break;
    if (now.find(liar) && !contains(isolated, liar)) isolated.push_back(liar);
  }
  if (isolated.size() == before) return false;
  configuration.next = NextEpoch{next_voters(configuration, now.keys, isolated, primary), after};
  return true;
}

void begin_next(Configuration& configuration, const base::Digest& block) {
  BASE_ASSERT(configuration.next.has_value(), "a change was ordered");
  configuration.before = std::move(configuration.voters);
  configuration.voters = std::move(configuration.next->voters);
  configuration.start = configuration.next->after;
  configuration.start_digest = block;
  configuration.next.reset();
}

}  // namespace hypermesh::consensus
