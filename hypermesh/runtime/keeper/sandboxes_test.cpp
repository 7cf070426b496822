#include "runtime/keeper/sandboxes.hpp"

#include <gmock/gmock.h>
#include <sched.h>
#include <unistd.h>

#include <set>
#include <thread>

namespace hypermesh::keeper {
namespace {

/// Remembers which links there are.
class RecordingNetwork final : public NodeNetwork {
 public:
  explicit RecordingNetwork(Loop& loop) : loop_(loop) {}
  base::Result<std::vector<std::string>> addresses(std::uint16_t slot) override {
    return std::vector<std::string>{"fd00::" + std::to_string(slot)};
  }
  std::vector<std::string> node_addresses() override { return {"fd00::1"}; }
  base::Result<> attach(const std::string& link, std::uint16_t, int) override {
    links.insert(link);
    loop_.stop_once();
    return {};
  }
  base::Result<> detach(const std::string& link) override {
    links.erase(link);
    return {};
  }
  base::Result<> keep_only(const std::set<std::string>&) override { return {}; }
  base::Result<> apply_services(base::BytesView) override { return {}; }
  base::Result<> remove_services() override { return {}; }
  base::Result<UniqueFd> machine_socket(int, int) override {
    return base::fail(base::Errc::Unsupported, "none");
  }
  std::set<std::string> links;

 private:
  Loop& loop_;
};

std::string hostname_in(int uts_namespace) {
  char name[65] = {};
  std::thread([&] {
    if (::setns(uts_namespace, CLONE_NEWUTS) != 0 || ::gethostname(name, sizeof name - 1) != 0)
      name[0] = '\0';
  }).join();
  return name;
}

class SandboxesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    auto loop = Loop::open();
    ASSERT_TRUE(loop);
    loop_ = *std::move(loop);
    network_ = std::make_unique<RecordingNetwork>(*loop_);
  }
  std::unique_ptr<Sandboxes> open(unsigned spares) {
    auto sandboxes = std::make_unique<Sandboxes>(
        *loop_, *network_, SandboxOptions{.id_base = 0x5000'0000, .spares = spares}, base::Log());
    sandboxes->open();
    return sandboxes;
  }
  void await_links(std::size_t count) {
    while (network_->links.size() < count) loop_->run();
  }
  static nexus::PodSpec pod(const std::string& name) {
    nexus::PodSpec spec;
    spec.uid = spec.name = name;
    return spec;
  }

  std::unique_ptr<Loop> loop_;
  std::unique_ptr<RecordingNetwork> network_;
};

TEST_F(SandboxesTest, APodGetsOneThatIsReadyAndItsNamesAreThePods) {
  const auto sandboxes = open(2);
  await_links(2);
  const auto slot = sandboxes->allocate(pod("web-1"));
  ASSERT_TRUE(slot);
  auto sandbox = sandboxes->make(*slot, pod("web-1"));
  ASSERT_TRUE(sandbox) << sandbox.error().describe();
  EXPECT_EQ(network_->links.size(), 2u) << "a new link was made though one was ready";
  EXPECT_TRUE(network_->links.contains(sandbox->link));
  EXPECT_EQ(hostname_in(sandbox->namespaces.uts.get()), "web-1");
  EXPECT_THAT(sandbox->addresses, ::testing::ElementsAre("fd00::" + std::to_string(*slot)));
  await_links(3);  // its place is filled
  ASSERT_TRUE(sandboxes->drop(*sandbox));
  EXPECT_EQ(network_->links.size(), 2u);
  sandboxes->close();
  EXPECT_TRUE(network_->links.empty());
}

TEST_F(SandboxesTest, ANameThatIsTooLongForTheKernelIsCut) {
  const auto sandboxes = open(1);
  await_links(1);
  const std::string name = std::string(100, 'a') + "-5d4f9c7b6d-x2x7k";
  const auto slot = sandboxes->allocate(pod(name));
  ASSERT_TRUE(slot);
  auto sandbox = sandboxes->make(*slot, pod(name));
  ASSERT_TRUE(sandbox) << sandbox.error().describe();
  EXPECT_EQ(network_->links.size(), 1u) << "it was the one that was ready";
  EXPECT_EQ(hostname_in(sandbox->namespaces.uts.get()), std::string(63, 'a'));
  ASSERT_TRUE(sandboxes->drop(*sandbox));
  sandboxes->close();
}

TEST_F(SandboxesTest, APodWithWishesOfItsOwnGetsANewOne) {
  const auto sandboxes = open(1);
  await_links(1);
  nexus::PodSpec wishes = pod("tuned");
  wishes.sysctls["net.ipv4.ip_unprivileged_port_start"] = "1024";
  const auto slot = sandboxes->allocate(wishes);
  ASSERT_TRUE(slot);
  auto sandbox = sandboxes->make(*slot, wishes);
  ASSERT_TRUE(sandbox) << sandbox.error().describe();
  EXPECT_EQ(network_->links.size(), 2u);
  ASSERT_TRUE(sandboxes->drop(*sandbox));
  sandboxes->close();
}

TEST_F(SandboxesTest, TheLastAddressesAreForPods) {
  const auto sandboxes = open(1);
  await_links(1);
  nexus::PodSpec shared = pod("shared");
  shared.host_network = true;  // cannot use the spare, so it takes other slots first
  std::set<std::uint16_t> slots;
  for (int i = 0; i < datapath::kPodIndexMax; ++i) {
    const auto slot = sandboxes->allocate(shared);
    ASSERT_TRUE(slot) << i;
    slots.insert(*slot);
  }
  EXPECT_EQ(slots.size(), datapath::kPodIndexMax);
  EXPECT_TRUE(network_->links.empty());
  EXPECT_EQ(sandboxes->allocate(shared).error().code, base::Errc::ResourceExhausted);
  sandboxes->close();
}

}  // namespace
}  // namespace hypermesh::keeper
