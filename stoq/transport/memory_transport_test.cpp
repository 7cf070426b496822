#include "transport/memory_transport.hpp"

#include "transport/transport_suite.hpp"

namespace stoq::testing {
namespace {

class MemoryFixture {
 public:
  Transport& make(base::Executor executor, std::uint8_t index) {
    NodeId id;
    id.bytes[0] = index;
    return *transports_.emplace_back(std::make_unique<MemoryTransport>(executor, network_, id));
  }
  void stop() { transports_.clear(); }
  Endpoint endpoint(std::uint8_t index) const {
    return {{}, static_cast<std::uint16_t>(9292 + index)};
  }

 private:
  MemoryNetwork network_;
  std::vector<std::unique_ptr<Transport>> transports_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, TransportSuite, MemoryFixture);

TEST(NodeId, ComesBackFromItsText) {
  const NodeId id = NodeId::of(base::PublicKey{1, 2, 3});
  EXPECT_EQ(NodeId::parse(id.text()), id);
  EXPECT_FALSE(NodeId::parse("abc"));
  EXPECT_FALSE(NodeId::parse("!"));
}

}  // namespace
}  // namespace stoq::testing
