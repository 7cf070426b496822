#include "sim/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

#include "sim/node.hpp"

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

namespace {

constexpr Duration kPatience = 90s;  // For what is left when all faults have ended.
constexpr Duration kResubmit = 700ms;
constexpr std::size_t kOutstandingMax = 40;

Duration micros(std::uint64_t count) {
  return std::chrono::microseconds(count);
}

}  // namespace

World::World(std::uint64_t seed, Plan plan, bool trace)
    : rng_(seed), plan_(std::move(plan)), trace_(trace) {
  cluster_ = base::sha256(fmt::format("cluster of seed {}", seed));
  const auto make_key = [&](std::string_view what, std::size_t i) {
    const auto secret = base::sha256(fmt::format("{} {} of seed {}", what, i, seed));
    const base::PublicKey key = base::sha256(secret);
    secrets_.emplace(key, secret);
    return key;
  };
  for (std::size_t i = 0; i < plan_.replicas; ++i)
    genesis_.voters.keys.push_back(make_key("replica", i));
  genesis_.start_digest = cluster_;
  for (std::size_t i = 0; i < plan_.replicas; ++i) {
    auto node = std::make_unique<Node>(*this, i);
    if (i < plan_.liars.size()) node->lie = plan_.liars[i];
    node->flushed_digest = genesis_.start_digest;
    if (plan_.skew_max > 0)
      node->skew = static_cast<std::int64_t>(rng_.below(2 * plan_.skew_max)) - plan_.skew_max;
    nodes_.push_back(std::move(node));
  }
  for (std::size_t i = 0; i < plan_.clients; ++i) {
    auto client = std::make_unique<Client>();
    client->key = make_key("client", i);
    client->index = i;
    clients_.push_back(std::move(client));
  }
}

World::~World() = default;

void World::fail(std::string what) {
  if (failure_.empty()) failure_ = fmt::format("{} ms: {}", elapsed().count() / 1'000'000, what);
}

void World::note(const std::string& what) {
  history_.update(base::as_bytes(what));
  if (trace_) {
    fmt::print("{:>12.3f} ms  {}\n", static_cast<double>(elapsed().count()) / 1e6, what);
  }
}

base::Digest World::trace_digest() {
  return history_.finish();
}

// Signatures that only the holder of a secret makes, at the cost of a hash.
base::Signature World::sign_as(std::size_t replica, base::BytesView bytes) const {
  base::Sha256 hash;
  hash.update(secrets_.at(genesis_.voters.keys[replica]));
  hash.update(bytes);
  const auto digest = hash.finish();
  base::Signature signature{};
  std::ranges::copy(digest, signature.begin());
  return signature;
}

bool World::good(const pbft::Check::Item& item) const {
  const auto secret = secrets_.find(item.key);
  if (secret == secrets_.end()) return false;
  base::Sha256 hash;
  hash.update(secret->second);
  hash.update(item.bytes);
  const auto digest = hash.finish();
  return std::equal(digest.begin(), digest.end(), item.signature.begin());
}

std::uint64_t World::wall(const Node& node) const {
  constexpr std::uint64_t kBegin = 1'700'000'000'000'000'000;
  return kBegin + static_cast<std::uint64_t>(elapsed().count() + node.skew * 1000);
}

bool World::honest_and_up(const Node& node) const {
  return node.lie.empty() && node.replica != nullptr;
}

// --- a node's life ---

void World::start(Node& node) {
  std::vector<pbft::Persist> records;
  for (const auto& [lsn, bytes] : node.log) {
    auto record = decode_record(cluster_, bytes);
    if (!record) return fail("a record cannot be read: " + record.error().describe());
    records.push_back({lsn, *std::move(record)});
  }
  pbft::Options options;
  options.cluster = cluster_;
  options.checkpoint_interval = plan_.checkpoint_interval;
  auto restored = pbft::recover(genesis_, records);
  restored.last_lsn = std::max(restored.last_lsn, node.durable);
  node.ledger = node.flushed;
  if (mutant(Mutant::WindowsOutsideState)) node.ledger.forget_windows();
  node.block_time = 0;
  node.replica = std::make_unique<pbft::Replica>(
      options, node.signer, genesis_.voters.keys[node.index], std::move(restored),
      pbft::Position{node.flushed.applied(), node.flushed_digest, {}, {}}, timeline_.now());
  note(fmt::format("{} starts at slot {}, view {}", node.index, node.flushed.applied(),
                   node.replica->view()));
  step(node, pbft::Tick{});
}

// What was not synced is lost, or some of it.
void World::crash(Node& node) {
  note(fmt::format("{} crashes", node.index));
  node.replica.reset();
  ++node.incarnation;
  node.held.clear();
  node.release.reset();
  node.syncing = false;
  const Lsn last = node.log.empty() ? node.durable : node.log.back().first;
  if (last > node.durable) node.durable += rng_.below(last - node.durable + 1);
  while (!node.log.empty() && node.log.back().first > node.durable) node.log.pop_back();
}

void World::step(Node& node, const pbft::Input& input) {
  if (!node.replica || !failure_.empty()) return;
  pbft::Outputs outputs;
  node.replica->step(input, timeline_.now(), wall(node), outputs);
  carry_out(node, std::move(outputs));
}

void World::carry_out(Node& node, pbft::Outputs outputs) {
  const auto life = node.incarnation;
  const auto later = [&](Duration wait, pbft::Input input) {
    timeline_.after(wait, [this, &node, life, input = std::move(input)] {
      if (node.incarnation == life) step(node, input);
    });
  };
  for (auto& output : outputs.list) {
    if (auto* persist = std::get_if<pbft::Persist>(&output)) {
      node.log.emplace_back(persist->lsn, encode(persist->record));
      sync(node);
    } else if (auto* send = std::get_if<pbft::Send>(&output)) {
      node.held.push_back(std::move(*send));
    } else if (auto* check = std::get_if<pbft::Check>(&output)) {
      pbft::Checked checked{check->ticket, {}};
      for (const auto& item : check->items) checked.good.push_back(good(item));
      later(micros(10 + rng_.below(100)), std::move(checked));
    } else if (auto* apply = std::get_if<pbft::Apply>(&output)) {
      node.apply_at = std::max(node.apply_at, timeline_.now()) + micros(1 + rng_.below(200));
      timeline_.at(node.apply_at, [this, &node, life, apply = *apply] {
        if (node.incarnation == life) this->apply(node, apply);
      });
    } else if (auto* need = std::get_if<pbft::NeedState>(&output)) {
      timeline_.after(micros(500 + rng_.below(20'000)),
                      [this, &node, life, checkpoint = need->checkpoint] {
                        if (node.incarnation == life) fetch_state(node, checkpoint);
                      });
    } else if (std::get_if<pbft::StateDamaged>(&output) != nullptr) {
      if (node.lie.empty()) fail(fmt::format("the state of {} differs", node.index));
    } else if (auto* release = std::get_if<pbft::Release>(&output)) {
      node.release = *release;
    } else if (auto* evidence = std::get_if<Evidence>(&output)) {
      note(fmt::format("{} proves that {} lies ({})", node.index, evidence->first.replica,
                       to_text(evidence->first.statement.phase)));
      if (nodes_[evidence->first.replica]->lie.empty())
        fail(fmt::format("evidence against the honest replica {}", evidence->first.replica));
      proven_.insert(evidence->first.replica);
    }
  }
  flush_sends(node);
  const auto wake = ++node.wake;
  timeline_.at(std::max(outputs.wake_at, timeline_.now() + 1us), [this, &node, life, wake] {
    if (node.incarnation == life && node.wake == wake) step(node, pbft::Tick{});
  });
}

void World::sync(Node& node) {
  if (node.syncing) return;
  node.syncing = true;
  auto wait = plan_.sync_min + rng_.below(plan_.sync_max - plan_.sync_min + 1);
  if (!healed_ && rng_.below(1000) < plan_.slow_sync_share) wait += 200'000 + rng_.below(1'500'000);
  const Lsn upto = node.log.back().first;
  timeline_.after(micros(wait), [this, &node, life = node.incarnation, upto] {
    if (node.incarnation != life) return;
    node.syncing = false;
    node.durable = std::max(node.durable, upto);
    if (node.release && node.release->after <= node.durable) {
      while (!node.log.empty() && node.log.front().first < node.release->lsn) node.log.pop_front();
      node.release.reset();
    }
    flush_sends(node);
    if (!node.log.empty() && node.log.back().first > node.durable) sync(node);
    step(node, pbft::Persisted{node.durable});
  });
}

void World::flush_sends(Node& node) {
  std::vector<pbft::Send> ready;
  std::erase_if(node.held, [&](pbft::Send& send) {
    if (send.after > node.durable) return false;
    ready.push_back(std::move(send));
    return true;
  });
  for (const auto& send : ready) {
    if (node.lie.empty()) check_own_votes(node, *send.message);
    for (const auto& [to, bytes] : mutate(node, send)) transmit(node, to, bytes);
    if (!healed_ && rng_.below(100'000) < plan_.crash_after_send) {
      timeline_.after(0us, [this, &node, life = node.incarnation] {
        if (node.incarnation == life && node.replica)
          crash_for(node, micros(1000 + rng_.below(900'000)));
      });
    }
  }
}

void World::transmit(Node& from, std::size_t to, const base::Bytes& bytes) {
  const auto shared = std::make_shared<const base::Bytes>(bytes);
  const unsigned copies = !healed_ && rng_.below(1000) < plan_.duplication ? 2 : 1;
  for (unsigned i = 0; i < copies; ++i) {
    if (!healed_ && rng_.below(1000) < plan_.loss) continue;
    auto wait = plan_.delay_min + rng_.below(plan_.delay_max - plan_.delay_min + 1);
    if (!healed_ && rng_.below(1000) < plan_.slow_share) wait += rng_.below(plan_.slow_delay);
    if (from.lie == "delay") wait += 280'000;
    timeline_.after(micros(wait), [this, from = from.index, to, shared] {
      if (!cut_.contains({from, to})) deliver(from, to, shared);
    });
  }
}

void World::deliver(std::size_t from, std::size_t to, std::shared_ptr<const base::Bytes> bytes) {
  Node& node = *nodes_[to];
  if (!node.replica) return;
  auto message = decode(cluster_, *bytes);
  if (!message) return;
  if (trace_) note(fmt::format("{} -> {} {}", from, to, describe(*message)));
  step(node, pbft::Received{static_cast<pbft::PeerId>(from),
                            std::make_shared<const Message>(*std::move(message))});
}

// --- execution, and what must hold of it ---

void World::apply(Node& node, const pbft::Apply& apply) {
  const Link& link = *apply.link;
  const Slot slot = link.block.slot;
  if (slot != node.ledger.applied() + 1)
    return fail(
        fmt::format("{} executes slot {} after {}", node.index, slot, node.ledger.applied()));
  const auto [known, first] = order_.emplace(slot, link.digest);
  if (known->second != link.digest)
    return fail(fmt::format("{} executes another block in slot {}", node.index, slot));
  if (link.block.time < node.block_time)
    return fail(fmt::format("time goes back in slot {}", slot));
  node.block_time = link.block.time;
  if (first) note(fmt::format("slot {} has {} bundles", slot, link.block.bundles.size()));
  for (const auto& [name, done] : node.ledger.apply(link.block)) {
    for (auto& client : clients_) {
      if (client->key == name.first)
        client->executed(name.second, done, node.index, timeline_.now());
    }
  }
  pbft::Applied applied{slot, {}, {}};
  if (apply.checkpoint) {
    applied.root = node.ledger.root();
    const auto [root, made] = roots_.emplace(slot, *applied.root);
    if (root->second != *applied.root)
      return fail(fmt::format("{} has another state after slot {}", node.index, slot));
    if (made) checkpoints_.emplace(slot, node.ledger);
    node.flushed = node.ledger;
    node.flushed_digest = link.digest;
  }
  step(node, applied);
}

void World::fetch_state(Node& node, const StableCheckpoint& checkpoint) {
  const Slot slot = checkpoint.certificate.statement.slot;
  const auto found = checkpoints_.find(slot);
  if (found == checkpoints_.end() || found->second.root() != checkpoint.root)
    return fail(fmt::format("a quorum signed a state after slot {} that nobody has", slot));
  if (slot <= node.ledger.applied()) return;
  note(fmt::format("{} fetches the state after slot {}", node.index, slot));
  node.ledger = node.flushed = found->second;
  node.flushed_digest = checkpoint.block;
  ++node.incarnation;  // What was to be executed is no longer.
  step(node, pbft::Installed{checkpoint, {}});
  if (node.syncing) {
    node.syncing = false;
    sync(node);
  }
}

// An honest replica says one thing only of each slot, however often it crashes.
void World::check_own_votes(Node& node, const Message& message) {
  const auto said = [&](const Statement& statement) {
    const Slot slot = statement.phase == Phase::ViewChange ? 0 : statement.slot;
    const auto [known, first] = node.said.emplace(
        std::tuple(statement.epoch, statement.view, slot, statement.phase), statement.digest);
    if (!first && known->second != statement.digest) {
      fail(fmt::format("{} contradicts itself: {} in view {}, slot {}", node.index,
                       to_text(statement.phase), statement.view, statement.slot));
    }
    if (statement.phase == Phase::ViewChange) {
      node.wanted = std::max(node.wanted, statement.view);
    } else if (statement.phase != Phase::Checkpoint && statement.view < node.wanted) {
      // What it said before it wanted a later view may be said again.
      if (first) {
        fail(fmt::format("{} votes in view {} after it wanted {}", node.index, statement.view,
                         node.wanted));
      }
    }
    if (statement.phase == Phase::Commit)
      node.highest_commit =
          std::max(node.highest_commit, std::pair(statement.view, statement.slot));
  };
  if (const auto* vote = std::get_if<Vote>(&message)) {
    if (vote->replica == node.index) said(vote->statement);
  } else if (const auto* proposal = std::get_if<Proposal>(&message)) {
    said({Phase::Propose, proposal->epoch, proposal->view, proposal->link->block.slot,
          proposal->link->digest});
  } else if (const auto* wish = std::get_if<ViewChange>(&message)) {
    const Claim& claim = wish->wish.claim;
    if (std::pair(claim.view, claim.slot) < node.highest_commit)
      fail(fmt::format("{} claims less than it sent commits for", node.index));
    said(statement_of(wish->epoch, wish->view, claim));
  }
}

// --- clients ---

void World::make_bundle(Client& client) {
  if (healed_) return;
  timeline_.after(micros(1 + rng_.below(plan_.pause_max)),
                  [this, &client] { make_bundle(client); });
  if (client.open.size() >= kOutstandingMax) return;
  auto bundle = std::make_shared<Bundle>();
  bundle->client = client.key;
  bundle->sequence = client.next++;
  base::ByteWriter operation;
  operation.u8(static_cast<std::uint8_t>(rng_.below(5)));
  if (rng_.below(3) > 0) operation.u64(rng_.u64());
  bundle->operations.push_back(std::move(operation).take());
  base::Sha256 hash;
  hash.update(secrets_.at(client.key));
  hash.update(signed_bytes(cluster_, *bundle));
  const auto digest = hash.finish();
  std::ranges::copy(digest, bundle->signature.begin());
  const auto sequence = bundle->sequence;
  client.open.emplace(sequence, Client::Open{std::move(bundle), timeline_.now()});
  submit(client, sequence);
}

// To every replica; clients are not cut off.
void World::submit(const Client& client, std::uint64_t sequence) {
  const auto bytes =
      std::make_shared<const base::Bytes>(encode(Message(Submit{client.open.at(sequence).bundle})));
  for (const auto& node : nodes_) {
    timeline_.after(micros(50 + rng_.below(2000)), [this, bytes, to = node->index] {
      Node& node = *nodes_[to];
      if (!node.replica) return;
      auto message = decode(cluster_, *bytes);
      step(node, pbft::Received{pbft::kFirstFollower,
                                std::make_shared<const Message>(*std::move(message))});
    });
  }
}

void World::resubmit(Client& client) {
  client.settle(genesis_.voters.weak_quorum());
  for (const auto& [sequence, open] : client.open) submit(client, sequence);
  timeline_.after(kResubmit, [this, &client] { resubmit(client); });
}

// --- faults ---

void World::crash_for(Node& node, Duration down) {
  if (!node.replica || healed_) return;
  crash(node);
  timeline_.after(down, [this, &node] {
    if (!node.replica) start(node);
  });
}

void World::schedule_faults() {
  const auto span = static_cast<std::uint64_t>(plan_.faults_until.count() / 1000);
  for (unsigned i = 0; i < plan_.crashes; ++i) {
    const std::size_t who = rng_.below(nodes_.size());
    const auto when = micros(rng_.below(span)), down = micros(1000 + rng_.below(4'000'000));
    timeline_.after(when, [this, who, down] { crash_for(*nodes_[who], down); });
  }
  for (unsigned i = 0; i < plan_.blackouts; ++i) {
    timeline_.after(micros(rng_.below(span)), [this] {
      // Liars stay up: they remember what the others forget.
      for (const auto& node : nodes_) {
        if (node->lie.empty())
          crash_for(*node, micros(1000 + rng_.below(rng_.below(2) == 0 ? 50'000 : 2'000'000)));
      }
    });
  }
  for (unsigned i = 0; i < plan_.partitions; ++i) {
    std::set<std::pair<std::size_t, std::size_t>> cuts;
    const std::uint64_t side = rng_.u64();
    const bool one_way = rng_.below(3) == 0;
    for (std::size_t a = 0; a < nodes_.size(); ++a) {
      for (std::size_t b = 0; b < nodes_.size(); ++b) {
        const bool left = (side >> a & 1) != 0, right = (side >> b & 1) != 0;
        if (one_way ? left && !right : left != right) cuts.emplace(a, b);
      }
    }
    const auto when = micros(rng_.below(span)), length = micros(10'000 + rng_.below(6'000'000));
    timeline_.after(when, [this, cuts, length] {
      if (healed_) return;
      note(fmt::format("{} links are cut", cuts.size()));
      for (const auto& cut : cuts) cut_.insert(cut);
      timeline_.after(length, [this, cuts] {
        note("links heal");
        for (const auto& cut : cuts) cut_.erase(cut);
      });
    });
  }
  timeline_.after(plan_.faults_until, [this] {
    note("all faults end");
    healed_ = true;
    cut_.clear();
    for (const auto& node : nodes_) {
      if (!node->replica) start(*node);
    }
  });
}

std::string World::run() {
  schedule_faults();
  for (const auto& node : nodes_) start(*node);
  for (const auto& client : clients_) {
    make_bundle(*client);
    resubmit(*client);
  }
  const MonotonicTime end = MonotonicTime() + plan_.faults_until + kPatience;
  const auto quiet = [&] {
    return std::ranges::all_of(clients_, [&](const auto& client) {
      client->settle(genesis_.voters.weak_quorum());
      return client->open.empty() && client->known_to_all(nodes_);
    });
  };
  while (failure_.empty() && timeline_.step(end)) {
    if (healed_ && timeline_.steps() % 256 == 0 && quiet()) break;
  }
  if (!failure_.empty()) return failure_;
  std::vector<Client::Finished> all;
  for (const auto& client : clients_) {
    client->settle(genesis_.voters.weak_quorum());
    if (!client->failure.empty()) return client->failure;
    if (!client->open.empty()) {
      return fmt::format("{} bundles of client {} are not ordered {} s after all faults ended",
                         client->open.size(), client->index, kPatience.count() / 1'000'000'000);
    }
    if (!client->known_to_all(nodes_))
      return fmt::format("not all honest replicas have executed what client {} sent",
                         client->index);
    for (const auto& finished : client->finished) all.push_back(finished);
  }
  // Whatever ended before another began is ordered before it.
  std::ranges::sort(all, {}, &Client::Finished::place);
  MonotonicTime begun{};
  for (const auto& each : all) {
    if (each.ended < begun) return "an operation is ordered behind one that began after it ended";
    begun = std::max(begun, each.begun);
  }
  return {};
}

}  // namespace sim
