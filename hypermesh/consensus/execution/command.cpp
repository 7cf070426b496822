#include "consensus/execution/command.hpp"

#include "consensus/messages.hpp"
#include "consensus/wire.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::Result;

namespace {

enum class Kind : std::uint8_t { OnState = 1, Members, Voters, Evidence, Proposed, Version };

base::ByteWriter begin(Kind kind, std::uint64_t deadline) {
  base::ByteWriter out;
  out.u8(static_cast<std::uint8_t>(kind));
  out.u64(deadline);
  return out;
}

Result<ChangeMembers> read_members(base::ByteReader& in) {
  ChangeMembers change;
  TRY(const auto put, read_count(in, kMembersMax, "members to put"));
  change.put.resize(put);
  for (Member& member : change.put) TRY_DO(read(in, member));
  TRY(const auto remove, read_count(in, kMembersMax, "members to remove"));
  change.remove.resize(remove);
  for (auto& key : change.remove) TRY_DO(read_array(in, key));
  return change;
}

void write(base::ByteWriter& out, const std::vector<Copy>& copies) {
  out.u16(static_cast<std::uint16_t>(copies.size()));
  for (const Copy& copy : copies) write(out, copy);
}
Result<std::vector<Copy>> read_copies(base::ByteReader& in) {
  TRY(const auto count, read_count(in, kVotersMax, "copies"));
  std::vector<Copy> copies(count);
  for (Copy& copy : copies) TRY_DO(read(in, copy));
  return copies;
}

Result<ChangeVoters> read_voters(base::ByteReader& in) {
  ChangeVoters change;
  TRY(change.epoch, in.u64());
  TRY(const auto voters, read_count(in, kVotersMax, "voters"));
  change.voters.resize(voters);
  for (auto& key : change.voters) TRY_DO(read_array(in, key));
  TRY(change.copies, read_copies(in));
  return change;
}

Result<ChangeVersion> read_version(base::ByteReader& in) {
  ChangeVersion change;
  TRY(change.epoch, in.u64());
  TRY(change.version, in.u8());
  TRY(change.copies, read_copies(in));
  return change;
}

Result<Command> read_command(base::BytesView bytes, Version version) {
  base::ByteReader in(bytes);
  TRY(const auto kind, in.u8());
  if (kind == static_cast<std::uint8_t>(Kind::OnState)) return OnState{bytes.subspan(1)};
  TRY(const auto deadline, in.u64());
  Command command;
  switch (static_cast<Kind>(kind)) {
    case Kind::Members: {
      TRY(auto change, read_members(in));
      command = OnCluster<ChangeMembers>{deadline, std::move(change)};
      break;
    }
    case Kind::Voters: {
      TRY(auto change, read_voters(in));
      command = OnCluster<ChangeVoters>{deadline, std::move(change)};
      break;
    }
    case Kind::Evidence: {
      Evidence evidence;
      TRY_DO(read(in, evidence.first));
      TRY_DO(read(in, evidence.second));
      command = OnCluster<Evidence>{deadline, evidence};
      break;
    }
    case Kind::Proposed: {
      TRY(const auto proposed, in.sized(kBundleBytesMax));
      command = OnCluster<Proposed>{deadline, {{proposed.begin(), proposed.end()}}};
      break;
    }
    case Kind::Version: {
      TRY(auto change, read_version(in));
      command = OnCluster<ChangeVersion>{deadline, std::move(change)};
      break;
    }
    default:
      return base::fail(Errc::Unsupported,
                        fmt::format("a command of kind {}; the cluster goes by version {}, which "
                                    "has 1 to 6",
                                    kind, version));
  }
  TRY_DO(in.end());
  return command;
}

}  // namespace

base::Bytes encode_on_state(base::BytesView operation) {
  base::Bytes out;
  out.reserve(1 + operation.size());
  out.push_back(static_cast<std::uint8_t>(Kind::OnState));
  out.insert(out.end(), operation.begin(), operation.end());
  return out;
}

base::Bytes encode(const OnCluster<ChangeMembers>& command) {
  auto out = begin(Kind::Members, command.deadline);
  out.u16(static_cast<std::uint16_t>(command.change.put.size()));
  for (const Member& member : command.change.put) write(out, member);
  out.u16(static_cast<std::uint16_t>(command.change.remove.size()));
  for (const auto& key : command.change.remove) out.raw(key);
  return std::move(out).take();
}

base::Bytes encode(const OnCluster<ChangeVoters>& command) {
  auto out = begin(Kind::Voters, command.deadline);
  const ChangeVoters& change = command.change;
  out.u64(change.epoch);
  out.u16(static_cast<std::uint16_t>(change.voters.size()));
  for (const auto& key : change.voters) out.raw(key);
  write(out, change.copies);
  return std::move(out).take();
}

base::Bytes encode(const OnCluster<ChangeVersion>& command) {
  auto out = begin(Kind::Version, command.deadline);
  out.u64(command.change.epoch);
  out.u8(command.change.version);
  write(out, command.change.copies);
  return std::move(out).take();
}

base::Bytes encode(const OnCluster<Evidence>& command) {
  auto out = begin(Kind::Evidence, command.deadline);
  write(out, command.change.first);
  write(out, command.change.second);
  return std::move(out).take();
}

base::Bytes encode(const OnCluster<Proposed>& command) {
  auto out = begin(Kind::Proposed, command.deadline);
  out.sized(command.change.bytes);
  return std::move(out).take();
}

Result<Command> decode_command(base::BytesView bytes, Version version) {
  auto command = read_command(bytes, version);
  // To whoever reads the log, bytes that are no command are a wrong request, not a damaged disk.
  if (!command && command.error().code == Errc::DataLoss)
    command.error().code = Errc::InvalidArgument;
  return command;
}

std::uint64_t deadline_of(base::BytesView command) {
  base::ByteReader in(command);
  const auto kind = in.u8();
  // An operation on the state has its version before it.
  if (kind && *kind == static_cast<std::uint8_t>(Kind::OnState)) (void)in.u8();
  return kind ? in.u64().value_or(0) : 0;
}

}  // namespace hypermesh::consensus
