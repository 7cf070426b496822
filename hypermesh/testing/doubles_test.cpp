#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "testing/consensus_contract_testing.hpp"
#include "testing/first_node_scheduler.hpp"
#include "testing/solo_consensus.hpp"

namespace hypermesh {
namespace {

struct Solo {
  void run(const std::function<base::Task<>(std::vector<Consensus*>)>& body) {
    boost::asio::io_context context;
    SoloConsensus consensus;
    boost::asio::co_spawn(context, body({&consensus}), [](const std::exception_ptr& thrown) {
      if (thrown) std::rethrow_exception(thrown);
    });
    context.run();
  }
};
using SoloSubjects = ::testing::Types<Solo>;

}  // namespace

namespace testing {
INSTANTIATE_TYPED_TEST_SUITE_P(Solo, ConsensusContract, SoloSubjects);
}  // namespace testing

namespace {

TEST(FirstNodeScheduler, SkipsNodesThatAreNotReady) {
  FirstNodeScheduler scheduler;
  nexus::NodeCapacity a, b;
  a.name = "a";
  b.name = "b";
  b.ready = true;
  EXPECT_EQ(scheduler.place({}, {a, b}), "b");
  EXPECT_EQ(scheduler.place({}, {a}).error().code, base::Errc::CannotPlace);
}

}  // namespace
}  // namespace hypermesh
