#include "consensus/node/cluster_client.hpp"

#include "consensus/node/testing/cluster.hpp"

namespace hypermesh::consensus::testing {
namespace {

// Somebody who is a member, and no replica.
struct TestClient {
  TestClient(TestReplica& any, stoq::MemoryNetwork& network)
      : executor(any.executor),
        genesis(any.genesis),
        transport(executor, network, stoq::NodeId::of(key.public_key())),
        peers({executor, &transport, &clock, &rng},
              {.backoff_min = 10ms, .backoff_max = 100ms, .distrust = 100ms}) {
    client = std::make_unique<ClusterClient>(
        ClusterClient::Parts{executor, &peers, &clock, &key, genesis});
  }
  Task<> close() {
    co_await client->stop();
    client.reset();
    co_await peers.stop(0s);
  }
  ClusterClient* operator->() const { return client.get(); }

  base::Executor executor;
  Genesis genesis;
  base::SystemClock clock;
  base::SystemRng rng;
  base::SigningKey key = TestReplica::key_of("operator");
  stoq::MemoryTransport transport;
  stoq::rpc::Peers peers;
  std::unique_ptr<ClusterClient> client;
};

// A voter's identity, which answers what it likes: a whole frame, or nothing.
class Liar {
 public:
  using Lie = std::function<std::optional<base::Bytes>(const Request&)>;
  Liar(TestReplica& victim, stoq::MemoryNetwork& network)
      : transport_(victim.executor, network, stoq::NodeId::of(victim.key.public_key())),
        server_(stoq::rpc::Server::Parts{victim.executor, &clock_, nullptr, {}}) {
    server_.handle(kRequests, [this](stoq::rpc::Call&, stoq::rpc::Reader<Frame>& in,
                                     stoq::rpc::Writer<Frame>& out) { return serve(in, out); });
    server_.serve(*transport_.listen(victim.endpoint, {.alpn = {"stoq/1", "stoq-bulk/1"}}),
                  [](const auto&) {});
  }
  Task<> close() {
    co_await server_.drain(0s);
    co_await server_.stop(0s);
  }

  Lie lie;

 private:
  Task<Result<>> serve(stoq::rpc::Reader<Frame>& requests, stoq::rpc::Writer<Frame>& replies) {
    for (;;) {
      CO_TRY(const auto frame, co_await requests.read());
      if (!frame) co_return Result<>();
      base::ByteReader in(frame->bytes);
      while (in.remaining() > 0) {
        CO_TRY(const auto bytes, in.sized(kRequestBytesMax));
        CO_TRY(const auto request, decode_request(bytes));
        auto answer = lie(request);
        if (answer) CO_TRY_DO(co_await replies.write(Frame{*std::move(answer)}));
      }
    }
  }

  base::SystemClock clock_;
  stoq::MemoryTransport transport_;
  stoq::rpc::Server server_;
};

base::Bytes frame_of(std::uint64_t id, decltype(Reply::what) what) {
  base::ByteWriter reply, frame;
  write(reply, Reply{id, std::move(what)});
  frame.sized(reply.view());
  return std::move(frame).take();
}

state::Transaction writing(std::string key, std::string value) {
  return {{}, {{std::move(key), std::move(value), 0}}};
}

class ClusterClients : public ClusterTest {
 protected:
  // Three honest replicas, and whoever has the first one's name.
  void run_with_liar(std::function<Task<>(Replicas&, Liar&, TestClient&)> body) {
    run(4, 4, [this, body = std::move(body)](Replicas& all) -> Task<> {
      for (std::size_t i = 1; i < 4; ++i) all[i]->open();
      Liar liar(*all[0], network);
      liar.lie = [](const Request&) { return std::nullopt; };
      TestClient client(*all[1], network);
      co_await body(all, liar, client);
      co_await client.close();
      co_await liar.close();
    });
  }
  // Everybody's turn to be asked first comes.
  static Task<> expect_served(TestClient& client, const std::string& key) {
    for (int i = 0; i < 4; ++i) {
      const auto value = std::to_string(i);
      const auto changed = co_await client->change(writing(key, value), 20s);
      EXPECT_TRUE(changed) << changed.error().describe();
      if (!changed) co_return;
      const auto entry = co_await client->get(key, 20s);
      EXPECT_TRUE(entry) << entry.error().describe();
      EXPECT_TRUE(entry && *entry && (*entry)->value == value && (*entry)->modified == *changed);
      const auto page = co_await client->range({.prefix = key}, 20s);
      EXPECT_TRUE(page && page->entries.size() == 1 && page->entries[0].value == value);
      const auto events = co_await client->changes(key, *changed - 1, 20s);
      EXPECT_TRUE(events && events->events.size() == 1 && events->events[0].value == value);
    }
  }
  static std::uint64_t wrong(const TestClient& client) { return client->scores()[0].wrong; }
};

TEST_F(ClusterClients, AreServedByAHonestCluster) {
  run(4, 4, [this](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    TestClient client(*replicas[0], network);
    co_await expect_served(client, "k");
    EXPECT_FALSE((co_await client->get("none", 20s)).value());
    const auto conflict =
        co_await client->change(state::Transaction{{{"k", 77}}, {{"k", "x", 0}}}, 20s);
    EXPECT_EQ(conflict.error().code, Errc::Conflict);
    // Its deadline had passed when it was ordered.
    const state::Operation late{1, writing("k", "late")};
    const auto refused = co_await client->order(encode_on_state(state::encode(late)), 20s);
    EXPECT_EQ(refused.error().code, Errc::NoQuorum);
    EXPECT_EQ((co_await client->changes("k", 1'000'000, 300ms))->events.size(), 0u);
    for (const auto& score : client->scores()) EXPECT_EQ(score.wrong, 0u);
    co_await client.close();
  });
}

TEST_F(ClusterClients, DoNotBelieveOneReplica) {
  run_with_liar([](Replicas&, Liar& liar, TestClient& client) -> Task<> {
    // Nothing at all.
    co_await expect_served(client, "silent");
    // A wrong value, an old one, a page that was cut off, changes that are withheld or made up.
    liar.lie = [](const Request& request) -> std::optional<base::Bytes> {
      const auto answer = [&]() -> decltype(Reply::what) {
        if (const auto* get = std::get_if<GetRequest>(&request.what))
          return GetReply{state::KeyValue{get->key, "false", 1, 1, 0}, 1'000'000, 1};
        if (std::holds_alternative<RangeRequest>(request.what))
          return RangeReply{{{}, 1'000'000, false}, 1};
        if (const auto* changes = std::get_if<ChangesRequest>(&request.what))
          return ChangesReply{{{}, changes->after + 1'000'000}};
        if (const auto* bundle = std::get_if<BundleRequest>(&request.what)) {
          BundleReply done;
          for (std::size_t i = 0; i < bundle->bundle->operations.size(); ++i)
            done.outcomes.push_back({.number = 1'000'000});
          return done;
        }
        return base::fail(Errc::Unavailable, "not this");
      };
      return frame_of(request.id, answer());
    };
    co_await expect_served(client, "lied");
    EXPECT_GT(wrong(client), 0u);
    for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(client->scores()[i].wrong, 0u);
    // Refusals that are none, and answers to other questions.
    liar.lie = [](const Request& request) -> std::optional<base::Bytes> {
      if (request.id % 2 == 0) return frame_of(request.id, StatusReply{});
      return frame_of(request.id, base::fail(Errc::FailedPrecondition, "compacted"));
    };
    co_await expect_served(client, "refused");
  });
}

TEST_F(ClusterClients, OutliveFramesThatAreNone) {
  run_with_liar([](Replicas&, Liar& liar, TestClient& client) -> Task<> {
    const std::vector<base::Bytes> frames = {
        {},
        {0},
        {0xff, 0xff, 0xff, 0xff, 1, 2, 3},
        {0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 1, 77},
        base::Bytes(1 << 20, 0xab),
    };
    std::size_t next = 0;
    base::Bytes last;
    liar.lie = [&](const Request& request) -> std::optional<base::Bytes> {
      if (next % 2 == 0) return frames[next++ / 2 % frames.size()];
      // Half of an answer, then the answer to the question before, again and again.
      auto now = frame_of(request.id, GetReply{std::nullopt, 5, 5});
      auto cut =
          base::Bytes(now.begin(), now.begin() + static_cast<std::ptrdiff_t>(now.size() / 2));
      if (next++ % 4 == 1) return cut;
      return std::exchange(last, std::move(now));
    };
    for (int i = 0; i < 3; ++i) co_await expect_served(client, "k" + std::to_string(i));
    EXPECT_GT(next, 0u);
  });
}

TEST_F(ClusterClients, CheckProofsOfStatesAndOfChanges) {
  run_with_liar([](Replicas& replicas, Liar& liar, TestClient& client) -> Task<> {
    const auto first = co_await client->change(writing("p/a", "1"), 20s);
    for (int i = 0; i < 50; ++i) {
      EXPECT_TRUE(co_await client->change(writing("q", std::to_string(i)), 20s));
    }
    auto entry = co_await client->get_stale("p/a", 20s);
    EXPECT_TRUE(entry) << entry.error().describe();
    EXPECT_EQ(entry->entry->value, "1");
    EXPECT_EQ(entry->entry->modified, *first);
    EXPECT_GT(entry->state.time, 0u);
    EXPECT_GT(entry->age, 0s);
    EXPECT_LT(entry->age, 1h);
    EXPECT_FALSE((co_await client->get_stale("none", 20s))->entry);
    const auto all = co_await client->proven_changes("p/", {}, 20s);
    EXPECT_TRUE(all) << all.error().describe();
    EXPECT_EQ(all->events.size(), 1u);
    EXPECT_GT(all->head.revision, 1u);

    // The liar has a true proof, and shows it for other keys, spoilt, or for ever.
    RequestClient direct(
        client.executor,
        client.peers.to(stoq::NodeId::of(replicas[1]->key.public_key()), replicas[1]->endpoint));
    const auto full = state::full_key(state::Space::User, "p/a");
    const auto proof = std::get<ProveReply>(*(co_await direct.ask(ProveRequest{full, 1}, 5s)));
    const auto events =
        std::get<ProveChangesReply>(*(co_await direct.ask(ProveChangesRequest{"p/", 0, 1}, 5s)));
    co_await direct.stop();
    const auto cluster = cluster_of(client.genesis);
    const auto voters = first_configuration(client.genesis).voters;
    ProofChecker checker(cluster, voters);
    EXPECT_TRUE(checker.check(full, proof));
    EXPECT_FALSE(checker.check(state::full_key(state::Space::User, "q"), proof));
    EXPECT_TRUE(checker.check("p/", {}, events));
    ProofChecker elsewhere(base::sha256("another cluster"), voters);
    EXPECT_EQ(elsewhere.check(full, proof).error().code, Errc::NotVerified);
    auto others = voters;
    std::swap(others.keys[0], others.keys[1]);
    EXPECT_EQ(ProofChecker(cluster, others).check(full, proof).error().code, Errc::NotVerified);
    for (std::size_t i = 0; i < 200; ++i) {
      auto spoilt = proof;
      auto& bytes = i % 2 == 0 ? spoilt.proof : spoilt.at.last;
      bytes[i * 7919 % bytes.size()] ^= static_cast<std::uint8_t>(1 << i % 8);
      EXPECT_FALSE(checker.check(full, spoilt));
      auto less = events;
      less.events[i * 7919 % less.events.size()] ^= static_cast<std::uint8_t>(1 << i % 8);
      const auto seen = checker.check("p/", {}, less);
      EXPECT_FALSE(seen);
    }
    liar.lie = [&](const Request& request) -> std::optional<base::Bytes> {
      if (std::holds_alternative<ProveRequest>(request.what)) return frame_of(request.id, proof);
      if (std::holds_alternative<ProveChangesRequest>(request.what)) {
        auto cut = events;
        cut.events.resize(cut.events.size() / 2);
        return frame_of(request.id, cut);
      }
      return std::nullopt;
    };
    for (int i = 0; i < 50; ++i) {
      EXPECT_TRUE(co_await client->change(writing("p/a", std::to_string(i)), 20s));
    }
    for (int i = 0; i < 4; ++i) {
      entry = co_await client->get_stale("q", 20s);
      EXPECT_TRUE(entry && entry->entry) << entry.error().describe();
      const auto more = co_await client->proven_changes("p/", all->head, 20s);
      EXPECT_TRUE(more) << more.error().describe();
      EXPECT_FALSE(more->events.empty());
    }
    EXPECT_GT(wrong(client) + client->scores()[0].silent, 0u);
    // What was seen once does not go back.
    EXPECT_EQ(checker.check(full, proof).value().value->value, "1");
  });
}

TEST_F(ClusterClients, FindOutWhoVotesNow) {
  run(4, 5, [this](Replicas& replicas) -> Task<> {
    for (auto& replica : replicas) replica->open();
    TestClient client(*replicas[0], network);
    for (int i = 0; i < 25; ++i)
      EXPECT_TRUE(co_await client->change(writing("k", std::to_string(i)), 20s));
    const auto copy = co_await replicas[4]->node->copy();
    EXPECT_TRUE(copy) << copy.error().describe();
    ChangeVoters change{1, {}, {*copy}};
    for (const std::size_t i : {0, 1, 2, 4}) change.voters.push_back(replicas[i]->key.public_key());
    const auto changed = co_await client->order(encode(OnCluster<ChangeVoters>{0, change}), 20s);
    EXPECT_TRUE(changed) << changed.error().describe();
    for (int i = 0; i < 25; ++i)
      EXPECT_TRUE(co_await client->change(writing("k", std::to_string(i)), 20s));
    const auto followed = co_await client->follow_members(20s);
    EXPECT_TRUE(followed) << followed.error().describe();
    EXPECT_EQ(client->voters().epoch, 2u);
    EXPECT_EQ(client->scores()[3].replica, replicas[4]->key.public_key());
    // Two of the first voters are gone; what is left of them is no majority of honest ones.
    co_await replicas[3]->close();
    co_await replicas[0]->close();
    EXPECT_TRUE(co_await client->change(writing("k", "last"), 20s));
    EXPECT_EQ((co_await client->get("k", 20s)).value()->value, "last");
    co_await client.close();
  });
}

// Reads and writes as fast as they can be sent, through the node that the others are served by too;
// and bundles without end, to every replica.
TEST_F(ClusterClients, AreServedBesideOneThatFloods) {
  run(4, 5, [this](Replicas& replicas) -> Task<> {
    for (std::size_t i = 0; i < 4; ++i) replicas[i]->open();
    TestClient client(*replicas[0], network);
    TestReplica &flooded = *replicas[0], &member = *replicas[4];
    stoq::rpc::Peers peers({client.executor, &member.transport, &client.clock, &client.rng},
                           {.backoff_min = 10ms, .backoff_max = 100ms});
    RequestClient flood(client.executor,
                        peers.to(stoq::NodeId::of(flooded.key.public_key()), flooded.endpoint));
    std::size_t answered = 0;
    const auto count = [&](const auto&) { ++answered; };
    for (int i = 0; i < 12'000; ++i) flood.ask(GetRequest{"k"}, 20s, count);
    const std::string large(1 << 20, 'x');
    for (int i = 0; i < 12; ++i) flood.ask(OrderRequest{put("large", large)}, 20s, count);
    for (std::uint64_t i = 1; i <= 300; ++i) {
      auto bundle = std::make_shared<Bundle>();
      bundle->client = member.key.public_key();
      bundle->sequence = i;
      bundle->operations.assign(200, put("small", "1"));
      bundle->signature = member.key.sign(signed_bytes(cluster_of(client.genesis), *bundle));
      flood.ask(BundleRequest{bundle}, 20s, count);
    }
    co_await expect_served(client, "k");
    EXPECT_GT(answered, 0u);
    co_await flood.stop();
    co_await peers.stop(0s);
    co_await client.close();
  });
}

// The leader lives, and takes no bundle of anybody.
TEST_F(ClusterClients, AreServedAfterALeaderThatCensorsThem) {
  run(4, 4, [this](Replicas& replicas) -> Task<> {
    ReplicaOptions honest, censor;
    honest.engine.request_timeout = 500ms;
    censor.engine.pool.bundles_per_client_max = 0;
    replicas[0]->open(honest);
    const auto leader = replicas[0]->node->status().leader_id;
    co_await replicas[0]->close();
    for (std::size_t i = 0; i < 4; ++i) replicas[i]->open(i == leader ? censor : honest);
    TestClient client(*replicas[0], network);
    const auto changed = co_await client->change(writing("k", "1"), 20s);
    EXPECT_TRUE(changed) << changed.error().describe();
    EXPECT_EQ((co_await client->get("k", 20s)).value()->value, "1");
    EXPECT_GT(replicas[(leader + 1) % 4]->node->status().view, 0u);
    co_await client.close();
  });
}

}  // namespace
}  // namespace hypermesh::consensus::testing
