#include "consensus/types.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::consensus {

using base::Errc;
using base::Result;

namespace {

constexpr std::string_view kTag = "hypermesh votes 1";
constexpr std::uint8_t kVotersFormat = 1;

}  // namespace

ReplicaId Voters::primary(View view) const {
  // Of those that may be: isolated replicas are skipped, unless nobody else is left.
  const std::size_t eligible = keys.size() - isolated.size();
  if (eligible == 0) return static_cast<ReplicaId>((first_primary + view) % keys.size());
  std::size_t place = view % eligible;
  for (std::size_t i = first_primary;; i = (i + 1) % keys.size()) {
    if (is_isolated(static_cast<ReplicaId>(i))) continue;
    if (place == 0) return static_cast<ReplicaId>(i);
    --place;
  }
}

bool Voters::is_isolated(ReplicaId replica) const {
  return std::ranges::binary_search(isolated, replica);
}

std::optional<ReplicaId> Voters::find(const base::PublicKey& key) const {
  const auto found = std::ranges::find(keys, key);
  if (found == keys.end()) return std::nullopt;
  return static_cast<ReplicaId>(found - keys.begin());
}

base::Bytes encode(const Voters& voters) {
  base::ByteWriter out;
  out.u8(kVotersFormat);
  out.u8(voters.version);
  out.u64(voters.epoch);
  out.u16(voters.first_primary);
  out.u16(static_cast<std::uint16_t>(voters.keys.size()));
  for (const auto& key : voters.keys) out.raw(key);
  out.u16(static_cast<std::uint16_t>(voters.isolated.size()));
  for (const ReplicaId replica : voters.isolated) out.u16(replica);
  return std::move(out).take();
}

Result<Voters> decode_voters(base::BytesView bytes) {
  base::ByteReader in(bytes);
  TRY(const auto format, in.u8());
  if (format != kVotersFormat) {
    return base::fail(Errc::DataLoss, fmt::format("voters of format {}; this program reads {}",
                                                  format, kVotersFormat));
  }
  Voters voters;
  TRY(voters.version, in.u8());
  if (voters.version == 0) return base::fail(Errc::InvalidArgument, "voters of no version");
  TRY(voters.epoch, in.u64());
  TRY(voters.first_primary, in.u16());
  TRY(const auto count, in.u16());
  if (count == 0 || count > kVotersMax) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("{} voters; there are 1 to {}", count, kVotersMax));
  }
  for (std::size_t i = 0; i < count; ++i) {
    TRY(const auto key, in.raw(voters.keys.emplace_back().size()));
    std::ranges::copy(key, voters.keys.back().begin());
    if (voters.find(voters.keys.back()) != i)
      return base::fail(Errc::InvalidArgument, fmt::format("voter {} is there twice", i));
  }
  TRY(const auto isolated, in.u16());
  for (std::size_t i = 0; i < isolated; ++i) {
    TRY(const auto replica, in.u16());
    if (replica >= count || (i > 0 && replica <= voters.isolated.back()))
      return base::fail(Errc::InvalidArgument, fmt::format("no isolated voter {}", replica));
    voters.isolated.push_back(replica);
  }
  if (voters.first_primary >= count) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("primary {} of {} voters", voters.first_primary, count));
  }
  TRY_DO(in.end());
  return voters;
}

std::string_view to_text(Phase phase) {
  switch (phase) {
    case Phase::Prepare:
      return "prepare";
    case Phase::Commit:
      return "commit";
    case Phase::Checkpoint:
      return "checkpoint";
    case Phase::ViewChange:
      return "view change";
    case Phase::Hold:
      return "hold";
  }
  return "unknown";
}

base::Bytes signed_bytes(const ClusterId& cluster, const Statement& statement) {
  base::ByteWriter out(kTag.size() + 32 + 1 + 3 * 8 + 32);
  out.raw(base::as_bytes(kTag));
  out.raw(cluster);
  out.u8(static_cast<std::uint8_t>(statement.phase));
  out.u64(statement.epoch);
  out.u64(statement.view);
  out.u64(statement.slot);
  out.raw(statement.digest);
  return std::move(out).take();
}

Result<> check_signers(const Voters& voters, const Certificate& certificate) {
  if (certificate.statement.epoch != voters.epoch && !mutant(Mutant::EpochsUnchecked)) {
    return base::fail(Errc::NotVerified,
                      fmt::format("a certificate of epoch {}; the voters are those of {}",
                                  certificate.statement.epoch, voters.epoch));
  }
  const std::size_t needed = voters.needed(certificate.statement.phase);
  if (certificate.signatures.size() < needed) {
    return base::fail(
        Errc::NotVerified,
        fmt::format("a {} certificate with {} signatures; it needs {}",
                    to_text(certificate.statement.phase), certificate.signatures.size(), needed));
  }
  for (std::size_t i = 0; i < certificate.signatures.size(); ++i) {
    const ReplicaId replica = certificate.signatures[i].first;
    if (replica >= voters.size() || (i > 0 && replica <= certificate.signatures[i - 1].first)) {
      return base::fail(
          Errc::NotVerified,
          fmt::format("a certificate with an unknown or repeated signer {}", replica));
    }
  }
  return {};
}

Result<> verify(const ClusterId& cluster, const Voters& voters, const Certificate& certificate) {
  TRY_DO(check_signers(voters, certificate));
  const auto bytes = signed_bytes(cluster, certificate.statement);
  for (const auto& [replica, signature] : certificate.signatures) {
    if (!base::verify(voters.keys[replica], bytes, signature)) {
      return base::fail(Errc::NotVerified,
                        fmt::format("the signature of replica {} under a {} certificate is wrong",
                                    replica, to_text(certificate.statement.phase)));
    }
  }
  return {};
}

bool contradict(const Vote& first, const Vote& second) {
  const Statement &a = first.statement, &b = second.statement;
  if (first.replica != second.replica || a.phase != b.phase || a.epoch != b.epoch ||
      a.view != b.view)
    return false;
  if (a.phase == Phase::ViewChange) return a.slot != b.slot || a.digest != b.digest;
  return a.slot == b.slot && a.digest != b.digest;
}

Result<> verify(const ClusterId& cluster, const Voters& voters, const Evidence& evidence) {
  const auto& [first, second] = evidence;
  if (!contradict(first, second)) {
    return base::fail(Errc::InvalidArgument, "the two votes do not contradict each other");
  }
  if (first.statement.epoch != voters.epoch || first.replica >= voters.size()) {
    return base::fail(
        Errc::InvalidArgument,
        fmt::format("votes of replica {} in epoch {}; epoch {} has {} voters", first.replica,
                    first.statement.epoch, voters.epoch, voters.size()));
  }
  for (const Vote* vote : {&first, &second}) {
    if (!base::verify(voters.keys[vote->replica], signed_bytes(cluster, vote->statement),
                      vote->signature)) {
      return base::fail(Errc::NotVerified,
                        fmt::format("a vote is not signed by replica {}", vote->replica));
    }
  }
  return {};
}

}  // namespace hypermesh::consensus
