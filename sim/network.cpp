#include <fmt/format.h>

#include "sim/node.hpp"

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kLate = 50'000;  // Microseconds, of a slow link at most.
constexpr std::size_t kOldPackets = 500;
// Of a liar that stays just below the patience of others.
constexpr Duration kDelayed = 280ms;

}  // namespace

PacketPtr World::pack(base::BytesView bytes) const {
  auto packet = std::make_shared<Packet>();
  packet->mark = mixed(0, bytes);
  packet->version = bytes.front();
  if (auto message = decode(cluster_, bytes, {1, kNewestVersion}))
    packet->message = std::make_shared<const Message>(*std::move(message));
  return packet;
}

PacketPtr World::pack(const Message& message, Version version) const {
  return pack(encode(message, version));
}

void World::transmit(Node& from, const pbft::Send& send) {
  const Message& message = *send.message;
  if (from.lie == "silent") return;
  std::vector<std::size_t> receivers;
  if (!send.to) {
    receivers = from.voters;
    for (std::size_t i = 0; send.widely && i < nodes_.size(); ++i) {
      if (from.peers[i] && *from.peers[i] >= pbft::kFirstFollower) receivers.push_back(i);
    }
  } else if (*send.to >= pbft::kFirstFollower) {
    receivers.push_back(*send.to - pbft::kFirstFollower);
  } else if (*send.to < from.voters.size()) {
    receivers.push_back(from.voters[*send.to]);
  }
  PacketPtr honest;
  for (const std::size_t to : receivers) {
    if (to == from.index || to >= nodes_.size()) continue;
    if (!from.honest()) {
      if (from.lie == "mute to one" && to == plan_.replicas - 1) continue;
      if (auto lie = changed(from, message, to)) {
        transmit(from, to, std::move(lie));
        continue;
      }
    }
    if (!honest) honest = pack(message, send.version);
    transmit(from, to, honest);
  }
  if (from.lie == "replay" && honest) {
    // What it once said, again: in other views and epochs.
    auto& old = from.once_said;
    if (old.size() < kOldPackets) {
      old.push_back(honest);
    } else if (from.lies.below(4) == 0) {
      old[from.lies.below(old.size())] = honest;
    }
    for (const std::size_t to : from.voters) {
      if (to != from.index && from.lies.below(4) == 0)
        transmit(from, to, old[from.lies.below(old.size())]);
    }
  }
  const auto* status = from.honest() ? nullptr : std::get_if<Status>(&message);
  if (status == nullptr || from.lies.below(4) > 0) return;
  for (const Message& invention : inventions(from, *status)) {
    const auto packet = pack(invention);
    for (const std::size_t to : from.voters) {
      if (to != from.index) transmit(from, to, packet);
    }
  }
}

// How long each copy of a message takes; none: it is lost.
std::vector<Duration> World::journeys(Node& from) {
  auto& rng = from.network;
  const auto now_and_then = [&](std::uint64_t thousandths) {
    return thousandths > 0 && rng.below(1000) < thousandths;
  };
  std::vector<Duration> waits;
  for (int copies = now_and_then(from.duplication) ? 2 : 1; copies > 0; --copies) {
    if (now_and_then(from.loss)) continue;
    auto wait = micros(plan_.delay_min + rng.below(plan_.delay_max - plan_.delay_min + 1));
    if (now_and_then(from.slow_links)) wait += micros(rng.below(kLate));
    if (from.lie == "delay") wait += kDelayed;
    waits.push_back(wait);
  }
  return waits;
}

void World::transmit(Node& from, std::size_t to, PacketPtr packet) {
  for (const Duration wait : journeys(from)) {
    timeline_.after(wait, [this, from = from.index, to, packet] {
      if (cuts_[from][to] == 0) deliver(from, to, *packet);
    });
  }
}

void World::deliver(std::size_t from, std::size_t to, const Packet& packet) {
  Node& node = *nodes_[to];
  if (!node.replica || !node.peers[from]) return;
  if (packet.version > node.newest) {
    if (trace_) note(fmt::format("{} -> {} something of version {}", from, to, packet.version));
    return step(node, pbft::Unreadable{*node.peers[from], packet.version});
  }
  if (!packet.message || ignores(node, *packet.message)) return;
  mark_ = mixed(mixed(mark_, packet.mark), from << 8 | to);
  if (!nodes_[from]->honest() && node.honest()) hear_liar(node, from, *packet.message);
  if (trace_) note(fmt::format("{} -> {} {}", from, to, describe(*packet.message)));
  step(node, pbft::Received{*node.peers[from], packet.message});
}

}  // namespace sim
