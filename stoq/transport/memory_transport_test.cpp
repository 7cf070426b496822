#include "transport/memory_transport.hpp"

#include "transport/testing/memory_fixture.hpp"
#include "transport/transport_suite.hpp"

namespace stoq::testing {
namespace {

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, TransportSuite, MemoryFixture);

TEST(NodeId, ComesBackFromItsText) {
  const NodeId id = NodeId::of(base::PublicKey{1, 2, 3});
  EXPECT_EQ(NodeId::parse(id.text()), id);
  EXPECT_FALSE(NodeId::parse("abc"));
  EXPECT_FALSE(NodeId::parse("!"));
}

}  // namespace
}  // namespace stoq::testing
