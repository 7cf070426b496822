#include "rpc/rpc_limits_suite.hpp"
#include "rpc/rpc_suite.hpp"
#include "transport/quic/testing/loopback_node.hpp"
#include "transport/testing/memory_fixture.hpp"

namespace stoq::testing {
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, RpcSuite, MemoryFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(Quic, RpcSuite, QuicFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, RpcLimitsSuite, MemoryFixture);
INSTANTIATE_TYPED_TEST_SUITE_P(Quic, RpcLimitsSuite, QuicFixture);
}  // namespace stoq::testing
