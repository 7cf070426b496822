#include "consensus/new_view.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace hypermesh::consensus {

using base::Errc;

namespace {

auto height(const Claim& claim) {
  return std::pair(claim.view, claim.slot);
}

// Whether the blocks that are held go on from that of `highest`.
bool goes_on_from(const Wish& wish, const Claim& highest) {
  if (wish.claim.slot > highest.slot) return false;
  if (wish.claim.slot == highest.slot) return wish.claim.digest == highest.digest;
  const std::size_t place = highest.slot - wish.claim.slot - 1;
  return place < wish.held.size() && wish.held[place] == highest.digest;
}

}  // namespace

Claim claim_of(const Certificate& certificate) {
  const Statement& said = certificate.statement;
  return {said.view, said.slot, said.digest};
}

void keep_higher(std::optional<Certificate>& highest, const Certificate& certificate) {
  if (!highest || height(claim_of(certificate)) > height(claim_of(*highest))) highest = certificate;
}

const Claim& highest_claim(const std::vector<Wish>& wishes) {
  return std::ranges::max_element(wishes,
                                  [](const Wish& a, const Wish& b) {
                                    return mutant(Mutant::LowestClaimChosen)
                                               ? height(b.claim) < height(a.claim)
                                               : height(a.claim) < height(b.claim);
                                  })
      ->claim;
}

Claim base_of(const Voters& voters, const std::vector<Wish>& wishes) {
  Claim base = highest_claim(wishes);
  if (mutant(Mutant::HeldIgnored)) return base;
  const Claim highest = base;
  std::map<std::pair<Slot, base::Digest>, std::size_t> holders;
  for (const Wish& wish : wishes) {
    if (!goes_on_from(wish, highest)) continue;
    for (std::size_t i = highest.slot - wish.claim.slot; i < wish.held.size(); ++i)
      ++holders[{wish.claim.slot + 1 + i, wish.held[i]}];
  }
  for (const auto& [block, count] : holders) {
    if (count + voters.faulty_max() >= wishes.size()) {
      base.slot = block.first;
      base.digest = block.second;
    }
  }
  return base;
}

bool is_of(const Certificate& certificate, Epoch epoch, const Claim& claim) {
  const Statement& said = certificate.statement;
  return (said.phase == Phase::Prepare || commits(said.phase)) && said.epoch == epoch &&
         said.view == claim.view && said.slot == claim.slot && said.digest == claim.digest;
}

base::Result<> check_form(const Voters& voters, const Claim& start, const NewView& message) {
  if (message.wishes.size() < voters.quorum()) {
    return base::fail(Errc::NotVerified,
                      fmt::format("view {} is wanted by {}; a quorum has {}", message.view,
                                  message.wishes.size(), voters.quorum()));
  }
  const Claim& highest = highest_claim(message.wishes);
  for (std::size_t i = 0; i < message.wishes.size(); ++i) {
    const Wish& wish = message.wishes[i];
    if (wish.replica >= voters.size() || (i > 0 && wish.replica <= message.wishes[i - 1].replica &&
                                          !mutant(Mutant::WishesCountedTwice)))
      return base::fail(Errc::NotVerified, "a view that an unknown replica wants, or one twice");
    if (height(wish.claim) == height(highest) && wish.claim != highest)
      return base::fail(Errc::NotVerified, "a view that is to begin with two blocks");
  }
  if (highest == start || mutant(Mutant::NewViewUnproven)) return {};
  if (!message.proof || !is_of(*message.proof, message.epoch, highest) ||
      highest.view >= message.view)
    return base::fail(Errc::NotVerified, "a view whose highest claim is not proven");
  return check_signers(voters, *message.proof);
}

}  // namespace hypermesh::consensus
