#include "consensus/execution/resume.hpp"

#include <gtest/gtest.h>

#include "state/memory_storage.hpp"

namespace hypermesh::consensus {
namespace {

class Resume : public testing::Test {
 protected:
  Resume() {
    genesis_.name = "test";
    for (int i = 0; i < 4; ++i) {
      const auto key = base::SigningKey::from_seed(base::sha256(std::to_string(i)))->public_key();
      genesis_.members.push_back({key, Role::Node, "[::1]:1"});
      genesis_.voters.push_back(key);
    }
    state_ = *Executor::open(genesis_, storage_, {});
  }
  Genesis genesis_;
  state::MemoryStorage storage_;
  std::unique_ptr<Executor> state_;
};

TEST_F(Resume, ANewLogBeginsWithTheGenesis) {
  const auto resumed = resume(genesis_, *state_, {{1, first_record(genesis_)}}, 1);
  EXPECT_FALSE(resumed.restored.silenced);
  EXPECT_EQ(resumed.restored.epoch.voters.keys, genesis_.voters);
  EXPECT_EQ(resumed.position.digest, cluster_of(genesis_));
}

TEST_F(Resume, WhoseLogIsEmptyHasForgottenWhatItSaid) {
  EXPECT_TRUE(resume(genesis_, *state_, {}, 0).restored.silenced);
}

TEST_F(Resume, WhatWasForgottenOnceStaysForgotten) {
  const std::vector<pbft::Persist> records{{1, Silenced{}}, {2, first_record(genesis_)}};
  EXPECT_TRUE(resume(genesis_, *state_, records, 2).restored.silenced);
}

}  // namespace
}  // namespace hypermesh::consensus
