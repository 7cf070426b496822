#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "sim/client.hpp"
#include "sim/operator.hpp"

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;
using hypermesh::state::Operation;
using hypermesh::state::Transaction;

namespace {

constexpr Duration kResubmit = 700ms;
constexpr std::size_t kOutstandingMax = 8;
constexpr std::uint64_t kPauseHealed = 500'000;  // Microseconds.
constexpr std::uint64_t kKeys = 4;

}  // namespace

// What clients do: writes of one or two keys, with conditions and deadlines or without, leases, and
// reads behind a barrier.
void World::act(Client& client) {
  // Nobody learns from a cluster that makes no checkpoints.
  if (healed_ && goals_.empty()) return;
  // But few: who learns then must be quicker than the checkpoints go.
  const std::uint64_t pause = healed_ ? kPauseHealed : 0;
  timeline_.after(micros(pause + 1 + client.rng.below(plan_.pause_max)),
                  [this, &client] { act(client); });
  if (client.open.size() >= kOutstandingMax) return;
  if (!client.open.empty() && client.next >= client.open.begin()->first + kClientWindow) return;
  auto& rng = client.rng;
  const std::string key = fmt::format("k/{}", rng.below(kKeys));
  const std::string value = fmt::format("{}.{}", client.index, client.next);
  Client::Open open;
  open.key = key;
  open.begun = timeline_.now();
  const auto choice = rng.below(100);
  if (choice < 15) {
    return ask(client, key);
  } else if (choice < 30) {
    open.reads = true;
  } else if (choice < 90) {
    Transaction transaction;
    const bool deletes = choice < 40;
    transaction.writes.push_back({key, deletes ? std::nullopt : std::optional(value)});
    if (choice >= 60 && choice < 80)
      transaction.conditions.push_back({key, rng.below(5) == 0 ? 0 : client.seen[key]});
    if (choice >= 80) {
      const auto other = fmt::format("k/{}", rng.below(kKeys));
      if (other != key) transaction.writes.push_back({other, value});
    }
    open.operation.action = std::move(transaction);
  } else if (client.lease == 0) {
    open.operation.action = hypermesh::state::GrantLease{100'000'000 + rng.below(3'000'000'000)};
  } else if (choice < 96) {
    Transaction transaction;
    transaction.writes.push_back({fmt::format("l/{}", rng.below(kKeys)), value, client.lease});
    open.operation.action = std::move(transaction);
  } else if (choice < 98) {
    open.operation.action = hypermesh::state::KeepAlive{client.lease};
  } else {
    open.operation.action = hypermesh::state::RevokeLease{std::exchange(client.lease, 0)};
  }
  if (rng.below(10) == 0) open.operation.deadline = wall() + rng.below(40'000'000);
  auto command = encode_on_state(encode(open.operation));
  send_bundle(client, std::move(command), std::move(open));
}

void World::send_bundle(Client& client, base::Bytes command, OpenBundle open) {
  auto bundle = std::make_shared<Bundle>();
  bundle->client = client.key;
  bundle->sequence = client.next++;
  bundle->operations.push_back(std::move(command));
  bundle->signature = keys_.sign(client.key, signed_bytes(cluster_, *bundle));
  const auto sequence = bundle->sequence;
  open.packet = pack(Message(Submit{std::move(bundle)}));
  const auto added = client.open.emplace(sequence, std::move(open)).first;
  // A gateway tells what it takes for the primary, and the others only if that was not enough.
  const Node& gateway = *nodes_[client.rng.below(nodes_.size())];
  if (!gateway.replica || client.rng.below(2) == 0) return submit(client, added->second.packet);
  const Voters& voters = gateway.replica->voters();
  const auto& primary = voters.keys[voters.primary(gateway.replica->view())];
  const auto node = std::ranges::find(nodes_, primary, [](const auto& each) { return each->key; });
  if (node != nodes_.end()) submit_to(**node, client, added->second.packet);
}

// It censors the first client, whoever tells it of its bundles.
bool World::ignores(const Node& node, const Message& message) const {
  const auto* submit = std::get_if<Submit>(&message);
  return node.lie == "censor" && submit != nullptr && submit->bundle->client == clients_[0]->key;
}

// Clients are not cut off.
void World::submit(Client& client, const PacketPtr& packet) {
  for (const auto& node : nodes_) submit_to(*node, client, packet);
}

void World::submit_to(Node& node, Client& client, const PacketPtr& packet) {
  if (ignores(node, *packet->message)) return;
  timeline_.after(micros(50 + client.rng.below(2000)), [this, &node, packet] {
    if (node.replica) step(node, pbft::Received{pbft::kFirstFollower, packet->message});
  });
}

void World::resubmit(Client& client) {
  for (const auto& [sequence, open] : client.open) submit(client, open.packet);
  timeline_.after(kResubmit, [this, &client] { resubmit(client); });
}

// What the node has executed is answered, once f + 1 have: one of them is honest.
void World::settle(Node& node) {
  const Voters& voters = node.replica->voters();
  for (const auto& client : clients_) {
    std::vector<std::uint64_t> answered;
    for (auto& [sequence, open] : client->open) {
      if (!open.outcome || open.slot > node.applied()) continue;
      open.by |= node.bit();
      const auto count = static_cast<std::size_t>(std::popcount(open.by));
      if (count >= voters.weak_quorum() && (!open.reads || node.honest()))
        answered.push_back(sequence);
    }
    for (const auto sequence : answered) on_answer(*client, sequence, node);
  }
}

void World::on_answer(Client& client, std::uint64_t sequence, const Node& node) {
  const Client::Open open = std::move(client.open.extract(sequence).mapped());
  const auto& outcome = *open.outcome;
  if (open.then) return open.then(open);
  const bool late = outcome.refused == base::Errc::TimedOut;
  if (open.reads) {
    if (!late) read(client, open.key, open.begun, node);
    return;
  }
  Call call{Call::Kind::Read, open.begun, timeline_.now()};
  if (std::holds_alternative<hypermesh::state::GrantLease>(open.operation.action) &&
      !outcome.refused) {
    client.lease = outcome.number;
    return;
  }
  const auto* transaction = std::get_if<Transaction>(&open.operation.action);
  if (transaction == nullptr) {
    if (outcome.refused == base::Errc::NotFound) client.lease = 0;
    return;
  }
  if (transaction->writes[0].lease != 0) {
    if (outcome.refused == base::Errc::FailedPrecondition) client.lease = 0;
    return;
  }
  if (late) return;
  if (!transaction->conditions.empty()) {
    call.conditional = true;
    call.expected = transaction->conditions[0].modified;
  }
  if (outcome.refused == base::Errc::Conflict && call.conditional) {
    call.kind = Call::Kind::Refused;
    client.calls.emplace_back(open.key, call);
    client.seen[open.key] = 0;
    return;
  }
  if (outcome.refused) return fail("a write is refused: " + outcome.message);
  call.revision = outcome.number;
  for (const auto& write : transaction->writes) {
    call.kind = write.value ? Call::Kind::Put : Call::Kind::Delete;
    client.calls.emplace_back(write.key, call);
    client.seen[write.key] = write.value ? call.revision : 0;
    if (write.value) written_.emplace(std::pair(write.key, call.revision), *write.value);
  }
}

void World::read(Client& client, const std::string& key, MonotonicTime begun, const Node& node) {
  Call call{Call::Kind::Read, begun, timeline_.now()};
  const auto view = hypermesh::state::View::of(node.storage);
  const auto there = view ? view->get(key) : std::unexpected(view.error());
  if (!there) return fail("a read fails: " + there.error().describe());
  if (*there) {
    call.revision = (*there)->modified;
    client.reads.push_back({key, (*there)->value, call.revision});
  }
  client.seen[key] = call.revision;
  client.calls.emplace_back(key, call);
}

// Reads at one node, which asks a quorum how far the cluster is. What liars answer their own
// clients is nobody's fault but theirs.
void World::ask(Client& client, const std::string& key) {
  Node& node = *nodes_[client.rng.below(nodes_.size())];
  if (!node.replica || !node.honest()) return;
  node.asking.emplace(++node.last_read, Node::Asking{client.index, key, timeline_.now()});
  step(node, pbft::Read{node.last_read});
}

void World::on_readable(Node& node, const pbft::Readable& readable) {
  while (!node.asking.empty() && node.asking.begin()->first <= readable.ticket) {
    const auto first = std::move(node.asking.extract(node.asking.begin()).mapped());
    if (readable.good && !node.stateless)
      read(*clients_[first.client], first.key, first.begun, node);
  }
}

std::string World::check_clients() const {
  std::map<std::string, std::vector<Call>> by_key;
  for (const auto& client : clients_) {
    for (const auto& [key, call] : client->calls) by_key[key].push_back(call);
    // Whatever is read was written, and was acknowledged in the end.
    for (const auto& read : client->reads) {
      const auto written = written_.find({read.key, read.revision});
      if (written == written_.end() || written->second != read.value) {
        return fmt::format("client {} reads {} at revision {} of {}: nobody wrote it",
                           client->index, read.value, read.revision, read.key);
      }
    }
  }
  for (auto& [key, calls] : by_key) {
    const auto wrong = check_linearizable(std::move(calls));
    if (!wrong.empty()) return fmt::format("{}: {}", key, wrong);
  }
  return {};
}

}  // namespace sim
