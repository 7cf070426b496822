#include "consensus/node/block_applier.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <base/async/task.hpp>
#include <base/testing/manual_clock.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <numeric>

#include "state/memory_storage.hpp"

namespace hypermesh::consensus {
namespace {

constexpr Slot kInterval = 20, kLast = 60;

// Who is told of a slot may want the next one at once; the ones that were executed with it, on a
// worker as one of them was a checkpoint, are told of before.
TEST(BlockApplier, SlotsAreToldOfInTheirOrder) {
  Genesis genesis;
  genesis.name = "test";
  genesis.checkpoint_interval = kInterval;
  const auto key = *base::SigningKey::from_seed(base::sha256("node"));
  genesis.members = {{key.public_key(), Role::Node, "[::1]:1"}};
  genesis.voters = {key.public_key()};
  state::MemoryStorage storage;
  const auto blocks = *Executor::open(genesis, storage, {});
  std::vector<LinkPtr> links;
  base::Digest parent = blocks->applied_digest();
  for (Slot slot = 1; slot <= kLast; ++slot) {
    links.push_back(make_link(cluster_of(genesis), {slot, parent, slot, 0, {}}));
    parent = links.back()->digest;
  }

  boost::asio::io_context io;
  base::BlockingPool pool(1);
  base::ManualClock clock;
  std::vector<Slot> told;
  Slot wanted = 0;
  std::unique_ptr<BlockApplier> applier;
  const auto want = [&](Slot up_to) {
    while (wanted < std::min(up_to, kLast)) applier->apply(links[wanted++], 0);
  };
  applier = std::make_unique<BlockApplier>(
      io.get_executor(), pool, *blocks, clock, [&](const BlockApplier::Batch& batch) {
        for (const auto& [link, executed] : batch.executed) {
          told.push_back(executed.slot);
          want(executed.slot + 4);
        }
        if (told.size() == kLast) {
          boost::asio::co_spawn(io, applier->stop(), boost::asio::detached);
        }
      });
  boost::asio::post(io, [&] { want(4); });
  io.run();
  std::vector<Slot> all(kLast);
  std::iota(all.begin(), all.end(), 1);
  EXPECT_EQ(told, all);
}

}  // namespace
}  // namespace hypermesh::consensus
