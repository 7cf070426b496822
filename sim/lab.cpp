#include "sim/lab.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace sim {

using namespace hypermesh::consensus;

Lab::Lab(const Cluster& cluster, const std::vector<ReplicaId>& ids) : cluster_(cluster) {
  for (std::size_t i = 0; i < ids.size(); ++i) {
    seats_.emplace_back(cluster, ids[i], std::chrono::microseconds(i));
  }
  words_.resize(ids.size());
  slips_.resize(ids.size());
  heal();
  for (std::size_t i = 0; i < ids.size(); ++i) start(i);
}

void Lab::start(std::size_t seat) {
  std::vector<pbft::Send> sent;
  seats_[seat].start(now_, sent);
  post(seat, sent);
  deliver();
}

void Lab::post(std::size_t from, std::vector<pbft::Send>& sent) {
  for (const auto& send : sent) {
    if (slips_[from].empty()) slips_[from] = words_[from].say(*send.message, seats_[from].id);
    for (std::size_t to = 0; to < seats_.size(); ++to) {
      const ReplicaId id = seats_[to].id;
      if (send.to ? *send.to != id : id == seats_[from].id) continue;
      if (groups_[from] == groups_[to]) parcels_.push_back({from, to, send.message});
    }
  }
  sent.clear();
}

void Lab::deliver() {
  std::vector<pbft::Send> sent;
  while (!parcels_.empty()) {
    const Parcel parcel = std::move(parcels_.front());
    parcels_.pop_front();
    if (lost && lost(parcel.from, parcel.to, *parcel.message)) continue;
    ++steps_;
    seats_[parcel.to].step(pbft::Received{seats_[parcel.from].id, parcel.message}, now_, sent);
    post(parcel.to, sent);
  }
}

void Lab::tell(std::size_t seat, pbft::PeerId from, Message message) {
  step(seat, pbft::Received{from, std::make_shared<const Message>(std::move(message))});
}

void Lab::step(std::size_t seat, const pbft::Input& input) {
  std::vector<pbft::Send> sent;
  seats_[seat].step(input, now_, sent);
  post(seat, sent);
  deliver();
}

void Lab::submit(const BundlePtr& bundle) {
  for (std::size_t seat = 0; seat < seats_.size(); ++seat)
    tell(seat, pbft::kFirstFollower, Submit{bundle});
}

void Lab::pass(base::Duration time) {
  const MonotonicTime end = now_ + time;
  std::vector<pbft::Send> sent;
  for (;;) {
    std::size_t first = seats_.size();
    for (std::size_t i = 0; i < seats_.size(); ++i) {
      if (seats_[i].up() && (first == seats_.size() || seats_[i].wake_at < seats_[first].wake_at))
        first = i;
    }
    if (first == seats_.size() || seats_[first].wake_at > end) break;
    now_ = std::max(now_ + std::chrono::microseconds(1), seats_[first].wake_at);
    ++steps_;
    seats_[first].step(pbft::Tick{}, now_, sent);
    post(first, sent);
    deliver();
  }
  now_ = std::max(now_, end);
}

void Lab::give_up(const std::vector<std::size_t>& seats) {
  now_ += cluster_.options.suspicion_max;
  std::vector<std::pair<std::size_t, std::vector<pbft::Send>>> all;
  for (const std::size_t seat : seats)
    seats_[seat].step(pbft::Tick{}, now_, all.emplace_back(seat, std::vector<pbft::Send>()).second);
  for (auto& [seat, sent] : all) post(seat, sent);
  deliver();
}

void Lab::install(std::size_t seat) {
  std::vector<pbft::Send> sent;
  seats_[seat].install(now_, sent);
  post(seat, sent);
  deliver();
}

std::string Lab::failure(const std::vector<std::size_t>& honest) const {
  std::map<Slot, base::Digest> order;
  for (std::size_t i = 0; i < seats_.size(); ++i) {
    if (!slips_[i].empty()) return slips_[i];
    if (!seats_[i].failure.empty()) return seats_[i].failure;
  }
  for (const std::size_t seat : honest) {
    for (const auto& [slot, digest] : seats_[seat].executed) {
      if (order.emplace(slot, digest).first->second != digest)
        return fmt::format("{} executes another block in slot {}", seats_[seat].id, slot);
    }
    for (const Seat& accuser : seats_) {
      for (const Evidence& evidence : accuser.evidence) {
        if (evidence.first.replica == seats_[seat].id)
          return fmt::format("evidence against the honest replica {}", seats_[seat].id);
      }
    }
  }
  return {};
}

}  // namespace sim
