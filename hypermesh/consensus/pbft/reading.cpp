#include "consensus/pbft/replica.hpp"

// Reads without ordering: reads.hpp.

namespace hypermesh::consensus::pbft {

// How far this replica knows its epoch to be. Nothing once it has signed the last checkpoint of the
// epoch, in this life or an earlier one: then a quorum may have begun the next one, and acknowledge
// what this epoch never sees.
std::optional<Slot> Replica::reached() const {
  if (!own_ || restored_ || signed_end_) return std::nullopt;
  return std::max(committed_, prepared_ ? prepared_->statement.slot : 0);
}

void Replica::handle(PeerId from, const ReadAsk& message) {
  if (!in_epoch(message.epoch)) return;
  if (const auto slot = reached()) send(from, ReadAnswer{message.epoch, message.round, *slot});
}

void Replica::handle(PeerId from, const ReadAnswer& message) {
  if (!in_epoch(message.epoch) || from >= voters().size()) return;
  reads_.answer(static_cast<ReplicaId>(from), message.round, message.slot, voters().quorum(), now_);
}

void Replica::ask_for_reads() {
  const auto round = reads_.begin(now_, wall_);
  if (!round) return;
  send(std::nullopt, ReadAsk{epoch_.voters.epoch, *round});
  if (const auto slot = reached()) reads_.answer(*own_, *round, *slot, voters().quorum(), now_);
}

void Replica::settle_reads() {
  if (reads_.idle()) return;
  ask_for_reads();
  for (const auto& settled : reads_.settle(applied_, now_))
    out_->list.emplace_back(Readable{settled.ticket, settled.good});
  ask_for_reads();
}

}  // namespace hypermesh::consensus::pbft
