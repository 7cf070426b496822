// Runs as root: a full disk, and a registry of another network namespace.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>

#include <base/async/blocking_pool.hpp>
#include <boost/asio/io_context.hpp>
#include <cstring>
#include <thread>

#include "runtime/images/image_service.hpp"
#include "runtime/images/testing/fake_layer_unpacker.hpp"
#include "runtime/images/testing/fake_registry.hpp"
#include "runtime/images/testing/scratch.hpp"

namespace hypermesh {
namespace {

namespace fs = std::filesystem;
using nexus::PullPolicy;
using testing::FakeLayerUnpacker;
using testing::FakeRegistry;
using testing::Scratch;

FakeRegistry::Layer layer(const std::string& bytes) {
  return {media_type::kOciLayer, bytes, bytes};
}

class Node {
 public:
  explicit Node(std::string root) {
    auto opened = ImageService::open(io_.get_executor(), pool_, unpacker_, clock_, rng_, {},
                                     {.root = std::move(root), .platform = {}, .registry = {}});
    EXPECT_TRUE(opened) << opened.error().describe();
    service_ = *std::move(opened);
  }
  ~Node() {
    io_.restart();
    base::asio::co_spawn(io_, service_->stop(), [](std::exception_ptr) {});
    io_.run();
  }
  base::Result<ImageDetails> pull(const std::string& reference) {
    std::optional<base::Result<ImageDetails>> result;
    io_.restart();
    base::asio::co_spawn(
        io_, service_->pull(reference, PullPolicy::IfNotPresent, {}),
        [&](std::exception_ptr, base::Result<ImageDetails> r) { result = std::move(r); });
    io_.run();
    return *std::move(result);
  }

 private:
  base::asio::io_context io_;
  base::BlockingPool pool_{2};
  FakeLayerUnpacker unpacker_;
  base::SystemClock clock_;
  base::SystemRng rng_;
  std::unique_ptr<ImageService> service_;
};

TEST(ImageServiceOnAFullDisk, AFailedPullLeavesNothingAndTheNextOneThatFitsWorks) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0) << strerror(errno);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  const Scratch scratch;
  const std::string small = scratch / "small";
  fs::create_directories(small);
  ASSERT_EQ(mount("tmpfs", small.c_str(), "tmpfs", 0, "size=1m"), 0) << strerror(errno);
  FakeRegistry registry;
  registry.add_image({layer("tiny"), layer(std::string(3 << 20, 'x'))}, "big");
  registry.add_image({layer("tiny")}, "fits");
  {
    Node node(small + "/images");
    const auto full = node.pull(registry.authority() + "/web:big");
    ASSERT_FALSE(full);
    EXPECT_EQ(full.error().code, base::Errc::ResourceExhausted) << full.error().describe();
    EXPECT_NE(full.error().describe().find("No space left on device"), std::string::npos);
    EXPECT_FALSE(full.error().hints.empty());
    EXPECT_TRUE(fs::is_empty(small + "/images/ingest"));
    const auto fits = node.pull(registry.authority() + "/web:fits");
    EXPECT_TRUE(fits) << fits.error().describe();
  }
  umount2(small.c_str(), MNT_DETACH);
}

// As in a development cluster: the daemon lives in a namespace of its own, the registry listens on
// the machine's loopback, and the keeper hands over sockets of the machine's namespace.
TEST(RegistryOfAnotherNamespace, IsReachedThroughTheConnector) {
  FakeRegistry registry;
  const auto image = registry.add_image({layer("a")}, "1");
  std::thread daemon([&] {
    const Fd outside(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(unshare(CLONE_NEWNET), 0) << strerror(errno);
    const Fd inside(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    const auto reference = parse_reference(registry.authority() + "/web:1");
    base::SystemRng rng;
    CancelToken cancel;
    RegistryClientOptions options;
    options.retry.failures_max = 1;
    RegistryClient without(options, rng);
    EXPECT_EQ(without.fetch_manifest(*reference, "1", {}, cancel).error().code,
              base::Errc::Unavailable);
    options.connector = [&](const std::string& address, std::uint16_t port) -> base::Result<int> {
      if (setns(outside.get(), CLONE_NEWNET) != 0)
        return base::fail_errno(errno, "cannot enter the machine's namespace");
      Fd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      inet_pton(AF_INET, address.c_str(), &to.sin_addr);
      const bool connected = connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
      if (setns(inside.get(), CLONE_NEWNET) != 0 || !connected)
        return base::fail_errno(errno, "cannot connect");
      return fd.release();
    };
    RegistryClient with(options, rng);
    const auto fetched = with.fetch_manifest(*reference, "1", {}, cancel);
    ASSERT_TRUE(fetched) << fetched.error().describe();
    EXPECT_EQ(fetched->digest, image.digest);
  });
  daemon.join();
}

}  // namespace
}  // namespace hypermesh
