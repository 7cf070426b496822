#include "sim/ledger.hpp"

namespace sim {

using hypermesh::consensus::Mutant;
using hypermesh::consensus::mutant;

namespace {

constexpr std::size_t kWindow = 64;

}  // namespace

std::vector<std::pair<std::pair<base::PublicKey, std::uint64_t>, Ledger::Done>> Ledger::apply(
    const hypermesh::consensus::Block& block) {
  std::vector<std::pair<std::pair<base::PublicKey, std::uint64_t>, Done>> done;
  applied_ = block.slot;
  for (const auto& bundle : block.bundles) {
    auto& window = windows_[bundle->client];
    // What is older than the window is answered no more.
    if (!mutant(Mutant::ExecutedTwice) &&
        (window.contains(bundle->sequence) ||
         (window.size() == kWindow && bundle->sequence < window.begin()->first)))
      continue;
    Done made{block.slot, places_++, 0};
    for (const auto& operation : bundle->operations) {
      base::ByteReader in(operation);
      const auto number = in.u8();
      if (!number) continue;
      auto& there = registers_[*number];
      made.result = there;
      if (const auto value = in.u64()) there = *value;
    }
    window.emplace(bundle->sequence, made);
    if (window.size() > kWindow) window.erase(window.begin());
    done.push_back({{bundle->client, bundle->sequence}, made});
  }
  return done;
}

base::Digest Ledger::root() const {
  base::ByteWriter out;
  out.u64(applied_);
  out.u64(places_);
  for (const auto& [number, value] : registers_) {
    out.u8(number);
    out.u64(value);
  }
  for (const auto& [client, window] : windows_) {
    out.raw(client);
    for (const auto& [sequence, done] : window) {
      out.u64(sequence);
      out.u64(done.result);
    }
  }
  return base::sha256(out.view());
}

}  // namespace sim
