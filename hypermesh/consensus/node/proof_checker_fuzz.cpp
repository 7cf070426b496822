// Whatever a replica answers: a client takes nothing that no quorum signed.

#include "consensus/execution/executor.hpp"
#include "consensus/node/proof_checker.hpp"

using namespace hypermesh;
using namespace hypermesh::consensus;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Voters voters = [] {
    Voters made;
    for (std::uint8_t i = 0; i < 4; ++i)
      made.keys.push_back(base::SigningKey::from_seed(base::Digest{i})->public_key());
    return made;
  }();
  const base::BytesView bytes(data, size);
  (void)decode_last(base::as_text(bytes));
  (void)state::decode_head(base::as_text(bytes));
  const auto reply = decode_reply(bytes);
  if (!reply || !reply->what) return 0;
  ProofChecker checker(base::Digest{1}, voters);
  if (const auto* proven = std::get_if<ProveReply>(&*reply->what)) {
    if (checker.check(state::full_key(state::Space::User, "k"), *proven)) __builtin_trap();
    (void)state::verify_proof(proven->at.checkpoint.root, "uk", proven->proof);
  }
  if (const auto* changes = std::get_if<ProveChangesReply>(&*reply->what)) {
    if (checker.check("p/", {}, *changes)) __builtin_trap();
    (void)state::verify_events("p/", {}, {.revision = 3}, changes->events);
  }
  return 0;
}
