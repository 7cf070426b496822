#include <fmt/format.h>

#include "sim/node.hpp"
#include "state/proof.hpp"
#include "state/view.hpp"

// What a client can check that trusts nobody: it has the voters' keys.

namespace sim {

using namespace hypermesh::consensus;

namespace {

constexpr std::string_view kPrefix = "k/";

}  // namespace

std::string World::check_certificate(const StableCheckpoint& checkpoint) const {
  const Certificate& certificate = checkpoint.certificate;
  const Voters& voters = epochs_.at(certificate.statement.epoch);
  const auto bytes = signed_bytes(cluster_, certificate.statement);
  bool good = check_statement(checkpoint) && check_signers(voters, certificate);
  for (const auto& [replica, signature] : certificate.signatures)
    good = good && keys_.good({voters.keys[replica], bytes, signature});
  if (good) return {};
  return fmt::format("the certificate of slot {} proves nothing", certificate.statement.slot);
}

// Certified values are those that were written, and the events between two certified states are
// all that were acknowledged.
std::string World::check_proofs(const Node& node) const {
  if (!node.stable) return {};
  auto wrong = check_certificate(*node.stable);
  if (!wrong.empty()) return wrong;
  const auto view = state::View::of(node.storage);
  if (!view) return "no view: " + view.error().describe();
  std::vector<state::Head> heads;
  for (const auto& checkpoint : view->checkpoints()) {
    const auto known = done_.find(checkpoint.slot);
    if (known == done_.end() || known->second.root != checkpoint.tree.root)
      return fmt::format("{} keeps another checkpoint of slot {}", node.index, checkpoint.slot);
    const auto proven = [&](std::string_view full) {
      const auto proof = view->prove_at(checkpoint.slot, full);
      return proof ? state::verify_proof(checkpoint.tree.root, full, *proof)
                   : std::unexpected(proof.error());
    };
    const auto head = proven(state::kHeadKey);
    if (!head) return "no head is proven: " + head.error().describe();
    heads.push_back(*head ? state::decode_head((*head)->value).value() : state::Head{});
    for (int i = 0; i < 4; ++i) {
      const auto key = fmt::format("{}{}", kPrefix, i);
      const auto value = proven(state::full_key(state::Space::User, key));
      if (!value) return fmt::format("{} is not proven: {}", key, value.error().describe());
      if (!*value) continue;
      const auto written = written_.find({key, (*value)->modified});
      if (written == written_.end() || written->second != (*value)->value)
        return fmt::format("{} is proven to be {}, which nobody wrote", key, (*value)->value);
    }
  }
  return heads.size() == 2 ? check_watch(*view, heads[0], heads[1]) : "";
}

// Whoever executes what was committed, from the beginning, has every checkpoint's state.
std::string World::check_replay() const {
  state::MemoryStorage storage;
  auto executor = Executor::open(genesis_, storage, {}, {1, kNewestVersion});
  if (!executor) return "a replay cannot begin: " + executor.error().describe();
  for (const auto& [slot, done] : done_) {
    if (slot != (*executor)->applied() + 1) return fmt::format("nobody executed slot {}", slot - 1);
    const auto executed = (*executor)->apply(*done.link);
    if (!executed) return fmt::format("slot {} cannot be executed again", slot);
    if (executed->root != done.root)
      return fmt::format("slot {} comes to another state when it is executed again", slot);
  }
  return {};
}

std::string World::check_watch(const state::View& view, const state::Head& from,
                               const state::Head& to) const {
  const auto proof = view.prove_events(kPrefix, from.revision, to.revision);
  if (!proof && proof.error().code == base::Errc::FailedPrecondition) return {};  // Compacted.
  if (!proof) return "events are not proven: " + proof.error().describe();
  const auto events = state::verify_events(kPrefix, from, to, *proof);
  if (!events) return "a proof of events does not hold: " + events.error().describe();
  std::map<std::pair<std::string, std::uint64_t>, std::string> seen;
  for (const auto& event : *events) {
    if (event.value) seen.emplace(std::pair(event.key, event.revision), *event.value);
  }
  std::erase_if(seen, [&](const auto& each) {
    const auto written = written_.find(each.first);
    return written != written_.end() && written->second == each.second;
  });
  if (!seen.empty()) return fmt::format("a watch sees {} writes that nobody made", seen.size());
  for (const auto& [place, value] : written_) {
    const auto& [key, revision] = place;
    if (revision <= from.revision || revision > to.revision) continue;
    const bool there = std::ranges::any_of(*events, [&](const state::Event& event) {
      return event.key == key && event.revision == revision && event.value == value;
    });
    if (!there) return fmt::format("a watch misses {} at revision {}", key, revision);
  }
  return {};
}

}  // namespace sim
