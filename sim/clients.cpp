#include "sim/node.hpp"

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

namespace {

constexpr Duration kResubmit = 700ms;
constexpr std::size_t kOutstandingMax = 40;

}  // namespace

void World::make_bundle(Client& client) {
  if (healed_) return;
  timeline_.after(micros(1 + client.rng.below(plan_.pause_max)),
                  [this, &client] { make_bundle(client); });
  if (client.open.size() >= kOutstandingMax) return;
  auto bundle = std::make_shared<Bundle>();
  bundle->client = client.key;
  bundle->sequence = client.next++;
  base::ByteWriter operation;
  operation.u8(static_cast<std::uint8_t>(client.rng.below(5)));
  if (client.rng.below(3) > 0) operation.u64(client.rng.u64());
  bundle->operations.push_back(std::move(operation).take());
  bundle->signature = keys_.sign(client.key, signed_bytes(cluster_, *bundle));
  const auto sequence = bundle->sequence;
  client.open.emplace(sequence,
                      Client::Open{pack(Message(Submit{std::move(bundle)})), timeline_.now()});
  submit(client, sequence);
}

// To every replica; clients are not cut off.
void World::submit(Client& client, std::uint64_t sequence) {
  for (const auto& node : nodes_) {
    timeline_.after(micros(50 + client.rng.below(2000)),
                    [this, &node = *node, packet = client.open.at(sequence).packet] {
                      if (node.replica)
                        step(node, pbft::Received{pbft::kFirstFollower, packet->message});
                    });
  }
}

void World::resubmit(Client& client) {
  client.settle(genesis_.voters.weak_quorum());
  for (const auto& [sequence, open] : client.open) submit(client, sequence);
  timeline_.after(kResubmit, [this, &client] { resubmit(client); });
}

bool World::all_answered() {
  return std::ranges::all_of(clients_, [&](const auto& client) {
    client->settle(genesis_.voters.weak_quorum());
    return client->open.empty() && client->known_to_all(nodes_);
  });
}

}  // namespace sim
