#include "consensus/pbft/replica.hpp"

// Reads without ordering: reads.hpp.

namespace hypermesh::consensus::pbft {

// How far this replica knows its epoch to be. Nothing once it has signed the last checkpoint of the
// epoch, in this life or an earlier one: then a quorum may have begun the next one, and acknowledge
// what this epoch never sees.
std::optional<ReadAnswer> Replica::reached(std::uint64_t round) const {
  if (!own_ || restored_ || signed_end_) return std::nullopt;
  return ReadAnswer{epoch_.voters.epoch, round, std::max(committed_, own_claim().slot),
                    voted_.slot};
}

void Replica::handle(PeerId from, const ReadAsk& message) {
  if (!in_epoch(message.epoch)) return;
  tell_decided();  // Whoever asks waits for it.
  if (const auto answer = reached(message.round)) send(from, *answer);
}

void Replica::handle(PeerId from, const ReadAnswer& message) {
  if (!in_epoch(message.epoch) || from >= voters().size()) return;
  reads_.answer(static_cast<ReplicaId>(from), message, voters(), now_);
}

void Replica::ask_for_reads() {
  const auto round = reads_.begin(now_, wall_);
  if (!round) return;
  send(std::nullopt, ReadAsk{epoch_.voters.epoch, *round});
  if (const auto answer = reached(*round)) reads_.answer(*own_, *answer, voters(), now_);
}

void Replica::settle_reads() {
  if (reads_.idle()) return;
  ask_for_reads();
  for (const auto& settled : reads_.settle(applied_, now_))
    out_->list.emplace_back(Readable{settled.ticket, settled.good});
  ask_for_reads();
}

}  // namespace hypermesh::consensus::pbft
