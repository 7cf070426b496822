#include "node/node.hpp"

#include <gtest/gtest.h>

#include <base/file.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>

#include "identity/testing/test_authority.hpp"
#include "rpc/diagnostics.hpp"

namespace stoq {
namespace {

using namespace std::chrono_literals;

class NodeTest : public ::testing::Test {
 protected:
  NodeTest() {
    char name[] = "/tmp/hypermesh-node-XXXXXX";
    folder_ = mkdtemp(name);
  }
  ~NodeTest() override { std::filesystem::remove_all(folder_); }

  std::unique_ptr<Node> make(const std::string& name, std::string certificates = {}) {
    NodeConfig config;
    config.certificate_path = std::move(certificates);
    config.identity_path = folder_ + "/" + name;
    config.listen = *Endpoint::of("::1", 0);
    auto node = NodeBuilder(context_.get_executor(), std::move(config), *metrics_, {}).build();
    EXPECT_TRUE(node) << node.error().describe();
    return *std::move(node);
  }

  void run(base::Task<> task) {
    // The sockets of nodes that go on living keep the context busy.
    boost::asio::co_spawn(context_, std::move(task), [this](std::exception_ptr thrown) {
      context_.stop();
      if (thrown) std::rethrow_exception(thrown);
    });
    context_.run();
    context_.restart();
  }

  base::SystemRng rng_;
  std::string folder_;
  boost::asio::io_context context_;
  std::unique_ptr<base::Metrics> metrics_ = base::make_prometheus_metrics();
};

TEST_F(NodeTest, TwoNodesCallEachOther) {
  const auto one = make("one"), two = make("two");
  run([](Node& one, Node& two) -> base::Task<> {
    one.start();
    two.start();
    for (const auto& [from, to] : {std::pair{&one, &two}, {&two, &one}}) {
      const auto reply =
          co_await from->peers().call(to->id(), to->listening(), kIdentity, v1::IdentityRequest());
      EXPECT_TRUE(reply) << reply.error().describe();
      if (!reply) continue;
      EXPECT_EQ(reply->node(), base::as_text(to->id().bytes));
      EXPECT_EQ(reply->caller(), base::as_text(from->id().bytes));
    }
    const auto wrong =
        co_await one.peers().call(one.id(), two.listening(), kPing, v1::PingRequest());
    EXPECT_EQ(wrong.error().code, base::Errc::NotVerified);
    // Nobody may fill the line of a node that does not allow it.
    {
      auto transfer = co_await one.peers().to(two.id(), two.listening())->open(kTransfer);
      EXPECT_TRUE(transfer);
      if (transfer) EXPECT_EQ((co_await transfer->read()).error().code, base::Errc::Forbidden);
    }
    co_await one.stop();
    co_await two.stop();
  }(*one, *two));
  // By the one that asked and by the one that was asked.
  const std::string page = metrics_->expose();
  EXPECT_NE(page.find("stoq_handshakes_total{result=\"not_verified\"} 2"), page.npos) << page;
  // One connection for each lane, whoever calls.
  EXPECT_NE(page.find("stoq_peers_connects_total{result=\"OK\"} 2"), page.npos) << page;
}

TEST_F(NodeTest, NodesOfAnAuthorityBelieveNobodyElse) {
  const auto wall = base::SystemClock().wall();
  const testing::TestAuthority authority(wall - 1h, wall + 1h);
  const auto inject = [&](const std::string& name) {
    const auto id = open_identity(folder_ + "/" + name, rng_)->id;
    const std::string folder = folder_ + "/certificates-" + name;
    std::filesystem::create_directory(folder);
    const auto leaf = authority.issue(id, wall - 1h, wall + 1h);
    std::ofstream(folder + "/authority.pem") << authority.pem();
    std::ofstream(folder + "/certificate.pem") << leaf.pem();
    EXPECT_TRUE(base::write_private_file(folder + "/key.pem", leaf.key_pem()));
    return make(name, folder);
  };
  const auto one = inject("one"), two = inject("two"), stranger = make("stranger");
  run([](Node& one, Node& two, Node& stranger) -> base::Task<> {
    for (Node* node : {&one, &two, &stranger}) node->start();
    EXPECT_TRUE(co_await one.peers().call(two.id(), two.listening(), kPing, v1::PingRequest()));
    const auto out =
        co_await stranger.peers().call(one.id(), one.listening(), kPing, v1::PingRequest());
    EXPECT_EQ(out.error().code, base::Errc::NotVerified);
    const auto in =
        co_await one.peers().call(stranger.id(), stranger.listening(), kPing, v1::PingRequest());
    EXPECT_EQ(in.error().code, base::Errc::NotVerified);
    for (Node* node : {&one, &two, &stranger}) co_await node->stop();
  }(*one, *two, *stranger));
}

TEST_F(NodeTest, IsTheSameAfterARestart) {
  const auto first = make("one");
  run(first->stop());
  const NodeId id = first->id();
  const auto again = make("one");
  EXPECT_EQ(again->id(), id);
  run(again->stop());
}

TEST_F(NodeTest, AnAddressInUseIsNamed) {
  const auto first = make("one");
  NodeConfig config;
  config.identity_path = folder_ + "/two";
  config.listen = first->listening();
  const auto second =
      NodeBuilder(context_.get_executor(), std::move(config), *metrics_, {}).build();
  EXPECT_EQ(second.error().code, base::Errc::FailedPrecondition);
  run(first->stop());
}

}  // namespace
}  // namespace stoq
