#include "consensus/execution/configuration.hpp"

#include "consensus/wire.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::Result;

namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kVotersBytesMax = kVotersMax * 64, kNameBytesMax = 64;
constexpr Slot kWindowMax = 1024, kIntervalMax = 1'000'000;
constexpr std::string_view kGenesisTag = "hypermesh genesis 1";

void write(base::ByteWriter& out, const std::vector<Member>& members) {
  out.u16(static_cast<std::uint16_t>(members.size()));
  for (const Member& member : members) write(out, member);
}
Result<std::vector<Member>> read_members(base::ByteReader& in) {
  TRY(const auto count, read_count(in, kMembersMax, "members"));
  std::vector<Member> members(count);
  for (std::size_t i = 0; i < count; ++i) {
    TRY_DO(read(in, members[i]));
    if (i > 0 && members[i].key <= members[i - 1].key)
      return base::fail(Errc::DataLoss, fmt::format("member {} is not in its place", i));
  }
  return members;
}

void write(base::ByteWriter& out, const std::vector<base::PublicKey>& keys) {
  out.u16(static_cast<std::uint16_t>(keys.size()));
  for (const auto& key : keys) out.raw(key);
}
Result<std::vector<base::PublicKey>> read_keys(base::ByteReader& in) {
  TRY(const auto count, read_count(in, kVotersMax, "keys"));
  std::vector<base::PublicKey> keys(count);
  for (auto& key : keys) TRY_DO(read_array(in, key));
  return keys;
}

Result<Voters> read_voters(base::ByteReader& in) {
  TRY(const auto bytes, in.sized(kVotersBytesMax));
  return decode_voters(bytes);
}

}  // namespace

std::string_view to_text(Role role) {
  switch (role) {
    case Role::Node:
      return "node";
    case Role::Client:
      return "client";
    case Role::Operator:
      return "operator";
  }
  return "unknown";
}

void write(base::ByteWriter& out, const Member& member) {
  out.raw(member.key);
  out.u8(static_cast<std::uint8_t>(member.role));
  out.sized(member.endpoint);
}
Result<> read(base::ByteReader& in, Member& member) {
  TRY_DO(read_array(in, member.key));
  TRY(const auto role, in.u8());
  if (role < static_cast<std::uint8_t>(Role::Node) ||
      role > static_cast<std::uint8_t>(Role::Operator))
    return base::fail(Errc::DataLoss, fmt::format("a member of the unknown role {}", role));
  member.role = static_cast<Role>(role);
  TRY(const auto endpoint, in.sized(kEndpointBytesMax));
  member.endpoint = base::as_text(endpoint);
  return {};
}

const Member* Configuration::find(const base::PublicKey& key) const {
  const auto at = std::ranges::lower_bound(members, key, {}, &Member::key);
  return at != members.end() && at->key == key ? &*at : nullptr;
}

void Configuration::put(Member member) {
  const auto at = std::ranges::lower_bound(members, member.key, {}, &Member::key);
  if (at != members.end() && at->key == member.key) {
    *at = std::move(member);
  } else {
    members.insert(at, std::move(member));
  }
}

bool Configuration::remove(const base::PublicKey& key) {
  return std::erase_if(members, [&](const Member& member) { return member.key == key; }) > 0;
}

base::Bytes encode(const Configuration& configuration) {
  base::ByteWriter out;
  out.u8(kVersion);
  write(out, configuration.members);
  out.sized(encode(configuration.voters));
  out.u64(configuration.start);
  out.raw(configuration.start_digest);
  out.u8(configuration.next ? 1 : 0);
  if (configuration.next) {
    out.sized(encode(configuration.next->voters));
    out.u64(configuration.next->after);
  }
  out.u8(configuration.before ? 1 : 0);
  if (configuration.before) out.sized(encode(*configuration.before));
  write(out, configuration.proven);
  return std::move(out).take();
}

Result<Configuration> decode_configuration(base::BytesView bytes) {
  base::ByteReader in(bytes);
  TRY_DO(read_version(in, kVersion, "a configuration"));
  Configuration configuration;
  TRY(configuration.members, read_members(in));
  TRY(configuration.voters, read_voters(in));
  TRY(configuration.start, in.u64());
  TRY_DO(read_array(in, configuration.start_digest));
  TRY(const bool next, read_flag(in));
  if (next) {
    configuration.next.emplace();
    TRY(configuration.next->voters, read_voters(in));
    TRY(configuration.next->after, in.u64());
  }
  TRY(const bool before, read_flag(in));
  if (before) {
    TRY(configuration.before, read_voters(in));
  }
  TRY(configuration.proven, read_keys(in));
  TRY_DO(in.end());
  return configuration;
}

base::Bytes encode(const Genesis& genesis) {
  base::ByteWriter out;
  out.u8(kVersion);
  out.sized(genesis.name);
  auto members = genesis.members;
  std::ranges::sort(members, {}, &Member::key);
  write(out, members);
  write(out, genesis.voters);
  out.u64(genesis.window);
  out.u64(genesis.checkpoint_interval);
  return std::move(out).take();
}

Result<Genesis> decode_genesis(base::BytesView bytes) {
  base::ByteReader in(bytes);
  TRY_DO(read_version(in, kVersion, "a genesis"));
  Genesis genesis;
  TRY(const auto name, in.sized(kNameBytesMax));
  genesis.name = base::as_text(name);
  TRY(genesis.members, read_members(in));
  TRY(genesis.voters, read_keys(in));
  TRY(genesis.window, in.u64());
  TRY(genesis.checkpoint_interval, in.u64());
  TRY_DO(in.end());
  const auto wrong = [](std::string what) {
    return base::fail(Errc::InvalidArgument, "a cluster cannot begin with " + what);
  };
  if (genesis.name.empty()) return wrong("an empty name");
  if (genesis.voters.empty()) return wrong("no voters");
  if (genesis.window == 0 || genesis.window > kWindowMax)
    return wrong(
        fmt::format("a window of {} slots; 1 to {} are allowed", genesis.window, kWindowMax));
  if (genesis.checkpoint_interval == 0 || genesis.checkpoint_interval > kIntervalMax) {
    return wrong(fmt::format("a checkpoint every {} slots; 1 to {} are allowed",
                             genesis.checkpoint_interval, kIntervalMax));
  }
  const Configuration configuration = first_configuration(genesis);
  for (std::size_t i = 0; i < genesis.voters.size(); ++i) {
    const Member* const member = configuration.find(genesis.voters[i]);
    if (member == nullptr || member->role != Role::Node)
      return wrong(fmt::format("voter {}, who is not a node of it", i));
    if (configuration.voters.find(genesis.voters[i]) != i)
      return wrong(fmt::format("voter {} twice", i));
  }
  return genesis;
}

ClusterId cluster_of(const Genesis& genesis) {
  base::Sha256 hash;
  hash.update(base::as_bytes(kGenesisTag));
  hash.update(encode(genesis));
  return hash.finish();
}

Configuration first_configuration(const Genesis& genesis) {
  Configuration configuration;
  for (const Member& member : genesis.members) configuration.put(member);
  configuration.voters.keys = genesis.voters;
  configuration.start_digest = cluster_of(genesis);
  return configuration;
}

}  // namespace hypermesh::consensus
