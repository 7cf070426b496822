#include "consensus/node/proof_checker.hpp"

#include <fmt/format.h>

namespace hypermesh::consensus {

using base::Errc;
using base::Result;

Result<CertifiedState> ProofChecker::check(const Proven& proven) {
  // Its ends may begin with epochs that are proven already.
  std::span<const StableCheckpoint> ends = proven.ends;
  while (!ends.empty() && ends.front().certificate.statement.epoch < voters_.epoch)
    ends = ends.subspan(1);
  Voters voters = voters_;
  if (!ends.empty()) {
    TRY(voters, verify(cluster_, voters_, ends));
  }
  const StableCheckpoint& checkpoint = proven.checkpoint;
  const Statement& statement = checkpoint.certificate.statement;
  if (statement.slot < newest_.slot) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("the answer is of slot {}; one of slot {} was seen before",
                                  statement.slot, newest_.slot));
  }
  // An epoch's last checkpoint may be the newest; it is signed by the voters that it replaces.
  const bool is_known =
      statement == newest_ || (!ends.empty() && ends.back().certificate.statement == statement);
  if (!is_known) TRY_DO(verify(cluster_, voters, checkpoint.certificate));
  if (statement.phase != Phase::Checkpoint)
    return base::fail(Errc::NotVerified, "the certificate is of no checkpoint");
  TRY_DO(check_statement(checkpoint));
  TRY(const auto last,
      state::verify_proof(checkpoint.root, state::full_key(state::Space::System, kLastKey),
                          proven.last));
  if (!last) return base::fail(Errc::NotVerified, "a certified state has no last slot");
  TRY(const auto slot, decode_last(last->value));
  voters_ = std::move(voters);
  newest_ = statement;
  return CertifiedState{statement.slot, checkpoint.root, slot.time};
}

Result<ProvenRead> ProofChecker::check(std::string_view full_key, const ProveReply& reply) {
  TRY(const auto state, check(reply.at));
  TRY(auto value, state::verify_proof(state.root, full_key, reply.proof));
  return ProvenRead{state, std::move(value)};
}

Result<ProvenChanges> ProofChecker::check(std::string_view prefix, const state::Head& from,
                                          const ProveChangesReply& reply) {
  TRY(const auto state, check(reply.at));
  TRY(const auto record, state::verify_proof(state.root, state::kHeadKey, reply.head));
  state::Head head;
  if (record) {
    TRY(head, state::decode_head(record->value));
  }
  TRY(auto events, state::verify_events(prefix, from, head, reply.events));
  return ProvenChanges{state, head, std::move(events)};
}

}  // namespace hypermesh::consensus
