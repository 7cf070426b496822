#include "consensus/execution/executor.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "state/memory_storage.hpp"

namespace hypermesh::consensus {
namespace {

using base::Errc;
using testing::HasSubstr;

base::SigningKey key_of(std::string_view name) {
  return *base::SigningKey::from_seed(base::sha256(name));
}

// A cluster of one executor: blocks are made up, as if a quorum had ordered them.
struct Cluster {
  std::vector<base::SigningKey> nodes;
  base::SigningKey op = key_of("operator");
  Genesis genesis;
  ClusterId id;
  std::unique_ptr<state::Storage> storage = std::make_unique<state::MemoryStorage>();
  std::unique_ptr<Executor> executor;
  std::map<base::PublicKey, std::uint64_t> sequences;
  std::uint64_t time = 1'000;

  explicit Cluster(std::size_t voters = 4, std::size_t others = 1) {
    genesis.name = "test";
    genesis.window = 4;
    genesis.checkpoint_interval = 10;
    for (std::size_t i = 0; i < voters + others; ++i) {
      nodes.push_back(key_of(std::string("node ") + std::to_string(i)));
      genesis.members.push_back({nodes.back().public_key(), Role::Node, "[::1]:1"});
      if (i < voters) genesis.voters.push_back(nodes.back().public_key());
    }
    genesis.members.push_back({op.public_key(), Role::Operator, ""});
    id = cluster_of(genesis);
    open();
  }
  void open() {
    executor.reset();
    executor = *Executor::open(genesis, *storage, {});
  }

  BundlePtr bundle(const base::SigningKey& client, std::vector<base::Bytes> operations) {
    auto made = std::make_shared<Bundle>();
    made->client = client.public_key();
    made->sequence = ++sequences[made->client];
    made->operations = std::move(operations);
    made->signature = client.sign(signed_bytes(id, *made));
    return made;
  }
  LinkPtr link(std::vector<BundlePtr> bundles) {
    return make_link(
        id, {executor->applied() + 1, executor->applied_digest(), ++time, 0, std::move(bundles)});
  }
  Executed run(std::vector<BundlePtr> bundles) {
    return *executor->apply(*link(std::move(bundles)));
  }
  state::Outcome run(const base::SigningKey& client, base::Bytes operation) {
    return run({bundle(client, {std::move(operation)})}).results.at(0).outcomes.at(0);
  }
  void run_to(Slot slot) {
    while (executor->applied() < slot) run({});
  }
  Copy copy_of(std::size_t node) const {
    const auto& kept = executor->machine().checkpoints().back();
    Copy copy{nodes[node].public_key(), kept.slot, kept.tree.root, {}};
    copy.signature = nodes[node].sign(signed_bytes(id, copy));
    return copy;
  }
  base::Bytes voters(std::vector<std::size_t> ids, std::vector<Copy> copies = {}) const {
    ChangeVoters change{executor->configuration().voters.epoch, {}, std::move(copies)};
    for (const std::size_t i : ids) change.voters.push_back(nodes[i].public_key());
    return encode(OnCluster<ChangeVoters>{0, std::move(change)});
  }
  Evidence lie_of(ReplicaId replica) const {
    Evidence evidence;
    for (Vote* const vote : {&evidence.first, &evidence.second}) {
      vote->replica = replica;
      vote->statement = {Phase::Prepare, executor->configuration().voters.epoch, 0, 7,
                         base::sha256(vote == &evidence.first ? "a" : "b")};
      vote->signature = nodes[replica].sign(signed_bytes(id, vote->statement));
    }
    return evidence;
  }
};

base::Bytes put(std::string key, std::string value) {
  state::Operation operation{0, state::Transaction{{}, {{std::move(key), std::move(value)}}}};
  return encode_on_state(encode(operation));
}

TEST(Executor, ABundleIsExecutedOnce) {
  Cluster cluster;
  const auto bundle = cluster.bundle(cluster.nodes[0], {put("a", "1"), put("b", "2")});
  const auto first = cluster.run({bundle}).results.at(0);
  EXPECT_FALSE(first.repeated);
  ASSERT_EQ(first.outcomes.size(), 2u);
  EXPECT_EQ(first.outcomes[1].number, 2u);
  cluster.open();  // What was executed is in the state, not in the executor.
  const auto again = cluster.run({bundle, bundle});
  EXPECT_TRUE(again.results.at(0).repeated);
  EXPECT_EQ(again.results.at(1).outcomes, first.outcomes);
  EXPECT_EQ(again.revision, 2u);
  const auto view = *state::View::of(*cluster.storage);
  EXPECT_EQ((*find_result(view, *bundle))->outcomes, first.outcomes);
  Bundle other = *bundle;
  other.operations.pop_back();
  EXPECT_FALSE(*find_result(view, other));
  EXPECT_TRUE(*is_over(view, *bundle));
  EXPECT_TRUE(*is_over(view, other));
  other.sequence += kClientWindow;
  EXPECT_FALSE(*find_result(view, other));
  EXPECT_FALSE(*is_over(view, other));
}

TEST(Executor, WhatIsBehindTheWindowIsRefused) {
  Cluster cluster;
  const auto early = cluster.bundle(cluster.nodes[0], {put("a", "1")});
  cluster.sequences[early->client] += kClientWindow - 1;
  cluster.run({cluster.bundle(cluster.nodes[0], {put("a", "2")})});
  const auto late = cluster.run({early}).results.at(0);
  EXPECT_EQ(late.outcomes.at(0).refused, Errc::FailedPrecondition);
  EXPECT_THAT(late.outcomes.at(0).message, HasSubstr("at most 64 may be under way"));
}

TEST(Executor, AnotherBundleUnderAUsedNumberIsRefused) {
  Cluster cluster;
  cluster.run({cluster.bundle(cluster.nodes[0], {put("a", "1")})});
  cluster.sequences.clear();
  const auto other = cluster.run({cluster.bundle(cluster.nodes[0], {put("a", "2")})});
  EXPECT_TRUE(other.results.at(0).refused);
  EXPECT_EQ(other.results.at(0).outcomes.at(0).refused, Errc::FailedPrecondition);
  EXPECT_EQ(other.results.at(0).outcomes.at(0).number, 1u);
  EXPECT_EQ(other.revision, 1u);
}

TEST(Executor, StrangersAndWhatTheyMayNotDoAreRefused) {
  Cluster cluster;
  EXPECT_EQ(cluster.run(key_of("stranger"), put("a", "1")).refused, Errc::Forbidden);
  EXPECT_EQ(cluster.run(cluster.nodes[0], cluster.voters({1, 2, 3})).refused, Errc::Forbidden);
  EXPECT_EQ(cluster.run(cluster.nodes[0], {9, 9}).refused, Errc::InvalidArgument);
  EXPECT_EQ(cluster.run(cluster.nodes[0], base::Bytes(9, 9)).refused, Errc::Unsupported);
}

TEST(Executor, WhatIsOnlyOrderedHasItsPositionForNumber) {
  Cluster cluster;
  const auto proposed = [](std::uint64_t deadline) {
    return encode(OnCluster<Proposed>{deadline, {{7, 7}}});
  };
  const auto late = encode(OnCluster<Proposed>{1, {{7}}});
  const auto first = cluster.bundle(cluster.nodes[0], {put("a", "1"), proposed(0), late});
  const auto second = cluster.bundle(cluster.nodes[1], {proposed(cluster.time + 1)});
  const auto executed = cluster.run({first, second});
  EXPECT_EQ(executed.results.at(0).outcomes.at(1).number, 2u);
  EXPECT_EQ(executed.results.at(0).outcomes.at(2).refused, Errc::TimedOut);
  EXPECT_EQ(executed.results.at(1).outcomes.at(0).number, 4u);
  EXPECT_EQ(executed.revision, 1u);
  // Again, they take positions, but keep the first.
  const auto again = cluster.run({second, cluster.bundle(cluster.nodes[1], {proposed(0)})});
  EXPECT_EQ(again.operations_before, 4u);
  EXPECT_EQ(again.results.at(0).outcomes.at(0).number, 4u);
  EXPECT_EQ(again.results.at(1).outcomes.at(0).number, 6u);
  EXPECT_EQ(cluster.executor->operations(), 6u);
}

TEST(Executor, TheNextVersionIsOrderedWhenAllVotersCanGoByIt) {
  Cluster cluster;
  cluster.run_to(10);
  ChangeVersion change{1, 2, {}};
  const auto copy = [&](std::size_t node, Version newest) {
    Copy made = cluster.copy_of(node);
    made.newest = newest;
    made.signature = cluster.nodes[node].sign(signed_bytes(cluster.id, made));
    return made;
  };
  for (const std::size_t node : {0, 1, 2, 3}) change.copies.push_back(copy(node, 2));
  cluster.run({});
  const auto order = [&](const ChangeVersion& wanted) {
    return cluster.run(cluster.op, encode(OnCluster<ChangeVersion>{0, wanted}));
  };
  const auto with_last = [&](const Copy& last) {
    ChangeVersion other = change;
    other.copies.back() = last;
    return other;
  };
  const auto old = order(with_last(copy(3, 1)));
  EXPECT_EQ(old.refused, Errc::FailedPrecondition);
  EXPECT_THAT(old.message, HasSubstr("upgrade it"));
  Copy forged = copy(3, 1);
  forged.newest = 2;
  EXPECT_EQ(order(with_last(forged)).refused, Errc::NotVerified);
  EXPECT_EQ(order(with_last(copy(4, 2))).refused, Errc::NotVerified);
  EXPECT_EQ(order({1, 3, change.copies}).refused, Errc::InvalidArgument);
  EXPECT_EQ(order({2, 2, change.copies}).refused, Errc::Conflict);
  EXPECT_EQ(cluster.run(cluster.nodes[0], encode(OnCluster<ChangeVersion>{0, change})).refused,
            Errc::Forbidden);
  EXPECT_FALSE(order(change).refused);
  EXPECT_EQ(order(change).refused, Errc::FailedPrecondition);
  const auto next = cluster.executor->configuration().next;
  ASSERT_TRUE(next);
  // A program that cannot go by it executes all that is of the version before.
  const auto unknown = [&] { return cluster.run(cluster.op, base::Bytes(9, 99)).message; };
  EXPECT_THAT(unknown(), HasSubstr("version 1"));
  cluster.run_to(next->after);
  EXPECT_EQ(cluster.executor->configuration().voters, next->voters);
  EXPECT_EQ(next->voters.version, 2);
  EXPECT_THAT(unknown(), HasSubstr("version 2"));
  cluster.executor.reset();
  const auto again = Executor::open(cluster.genesis, *cluster.storage, {});
  EXPECT_EQ(again.error().code, Errc::Unsupported);
  EXPECT_TRUE(Executor::open(cluster.genesis, *cluster.storage, {}, {1, 2}));
}

TEST(Executor, VotersChangeWhenTheWindowHasPassed) {
  Cluster cluster;
  EXPECT_EQ(cluster.run(cluster.op, cluster.voters({0, 1, 2, 4})).refused, Errc::NotVerified);
  cluster.run_to(10);
  const auto copy = cluster.copy_of(4);
  auto forged = copy;
  forged.root[0] ^= 1;
  cluster.run({});
  EXPECT_EQ(cluster.run(cluster.op, cluster.voters({0, 1, 2, 4}, {forged})).refused,
            Errc::NotVerified);
  const auto executed =
      cluster.run({cluster.bundle(cluster.op, {cluster.voters({0, 1, 2, 4}, {copy})})});
  ASSERT_TRUE(executed.next);
  EXPECT_EQ(executed.next->after, executed.slot + 4);
  EXPECT_EQ(executed.next->voters.epoch, 2u);
  EXPECT_EQ(cluster.run(cluster.op, cluster.voters({0, 1, 4})).refused, Errc::FailedPrecondition);
  while (cluster.executor->applied() + 1 < executed.next->after) cluster.run({});
  EXPECT_EQ(cluster.executor->configuration().voters.epoch, 1u);
  EXPECT_TRUE(cluster.run({}).root);  // The last slot of an epoch is a checkpoint.
  cluster.open();
  const auto& configuration = cluster.executor->configuration();
  EXPECT_EQ(configuration.voters, executed.next->voters);
  EXPECT_EQ(configuration.start, executed.next->after);
  EXPECT_EQ(configuration.start_digest, cluster.executor->applied_digest());
  EXPECT_TRUE(cluster.executor->checkpoint_root());
}

TEST(Executor, UnsafeChangesAreRefused) {
  Cluster cluster;
  const auto refused = [&](std::vector<std::size_t> ids) {
    return cluster.run(cluster.op, cluster.voters(std::move(ids)));
  };
  EXPECT_THAT(refused({0, 1}).message, HasSubstr("2 voters would go at once; of 4 at most 1 may"));
  EXPECT_EQ(refused({}).refused, Errc::InvalidArgument);
  EXPECT_EQ(refused({0, 0, 1, 2}).refused, Errc::InvalidArgument);
  EXPECT_EQ(refused({0, 1, 2, 3}).refused, Errc::InvalidArgument);
  const auto gone = encode(OnCluster<ChangeMembers>{0, {{}, {cluster.nodes[0].public_key()}}});
  EXPECT_THAT(cluster.run(cluster.op, gone).message, HasSubstr("change the voters before it goes"));
  const auto late = encode(OnCluster<ChangeMembers>{1, {{}, {cluster.nodes[4].public_key()}}});
  EXPECT_EQ(cluster.run(cluster.op, late).refused, Errc::TimedOut);
}

TEST(Executor, AProvenLiarIsIsolatedAndTheNextIsOnlyKept) {
  Cluster cluster;
  const auto accuse = [&](ReplicaId replica) {
    return cluster.run(cluster.nodes[0], encode(OnCluster<Evidence>{0, cluster.lie_of(replica)}));
  };
  EXPECT_FALSE(accuse(3).refused);
  EXPECT_EQ(accuse(3).refused, Errc::AlreadyExists);
  ASSERT_TRUE(cluster.executor->configuration().next);
  cluster.run_to(cluster.executor->configuration().next->after);
  EXPECT_TRUE(cluster.executor->configuration().voters.is_isolated(3));
  EXPECT_FALSE(accuse(1).refused);
  cluster.run_to(cluster.executor->applied() + 20);
  EXPECT_EQ(cluster.executor->configuration().voters.isolated.size(), 1u);
  EXPECT_EQ(evidence_in(*state::View::of(*cluster.storage), cluster.genesis)->size(), 2u);
  auto forged = cluster.lie_of(2);
  forged.second.signature[0] ^= 1;
  EXPECT_EQ(cluster.run(cluster.nodes[0], encode(OnCluster<Evidence>{0, forged})).refused,
            Errc::NotVerified);
}

TEST(Executor, ACrashBetweenASlotAndItsCheckpointIsMadeUpFor) {
  Cluster cluster;
  cluster.run_to(9);
  const auto tenth = cluster.link({});
  {
    // Only the slot, as if the crash had come before Machine::checkpoint().
    auto slot = *cluster.executor->machine().begin(10, tenth->block.time);
    base::ByteWriter last;
    last.raw(tenth->digest);
    last.u64(0);
    last.u64(tenth->block.time);
    ASSERT_TRUE(slot->set_system("last", base::as_text(last.view())));
    ASSERT_TRUE(slot->finish());
  }
  cluster.open();
  EXPECT_TRUE(cluster.executor->checkpoint_root());
  EXPECT_EQ(cluster.executor->applied_digest(), tenth->digest);
}

TEST(Genesis, WhatAClusterCannotBeginWithIsNamed) {
  Cluster cluster;
  EXPECT_TRUE(decode_genesis(encode(cluster.genesis)));
  auto wrong = cluster.genesis;
  wrong.voters.push_back(key_of("stranger").public_key());
  EXPECT_THAT(decode_genesis(encode(wrong)).error().message,
              HasSubstr("voter 4, who is not a node"));
  wrong = cluster.genesis;
  wrong.window = 0;
  EXPECT_THAT(decode_genesis(encode(wrong)).error().message, HasSubstr("a window of 0 slots"));
}

TEST(Command, EveryKindIsReadAsItWasWritten) {
  Cluster cluster;
  const OnCluster<ChangeMembers> members{
      5, {{{cluster.nodes[0].public_key(), Role::Node, "[::1]:2"}}, {cluster.op.public_key()}}};
  EXPECT_EQ(std::get<OnCluster<ChangeMembers>>(*decode_command(encode(members))).change,
            members.change);
  cluster.run_to(10);
  const OnCluster<ChangeVoters> voters{6,
                                       {1, {cluster.nodes[0].public_key()}, {cluster.copy_of(4)}}};
  EXPECT_EQ(std::get<OnCluster<ChangeVoters>>(*decode_command(encode(voters))).change,
            voters.change);
  const OnCluster<Proposed> proposed{7, {{1, 2, 3}}};
  const auto read = std::get<OnCluster<Proposed>>(*decode_command(encode(proposed)));
  EXPECT_EQ(read.change.bytes, proposed.change.bytes);
  EXPECT_EQ(deadline_of(encode(proposed)), 7u);
  EXPECT_EQ(deadline_of(encode(members)), 5u);
  const state::Operation operation{8, state::Barrier{}};
  EXPECT_EQ(deadline_of(encode_on_state(state::encode(operation))), 8u);
  EXPECT_EQ(deadline_of({}), 0u);
}

}  // namespace
}  // namespace hypermesh::consensus
