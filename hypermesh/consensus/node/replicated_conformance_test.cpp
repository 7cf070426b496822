// The promises of every StateStore, over the state that four replicas agree on.

#include "consensus/node/replicated_state_store.hpp"
#include "consensus/node/testing/cluster.hpp"
#include "testing/state_store_conformance.hpp"

namespace hypermesh::consensus::testing {
namespace {

// A restart is one of the whole cluster; each store is another replica's.
struct ReplicatedSubject final : ClusterTest, nexus::StoreSubject {
  void TestBody() override {}
  void with_store(std::function<Task<>(nexus::StateStore&)> body,
                  nexus::Retained retained) override {
    ReplicaOptions options;
    if (retained.commits) options.machine.history_revisions_max = *retained.commits;
    if (retained.bytes) options.machine.history_bytes_max = *retained.bytes;
    run(4, 4, [&](Replicas& all) -> Task<> {
      for (auto& replica : all) replica->open(options);
      ReplicatedStateStore store(*all[next_++ % all.size()]->node);
      co_await body(store);
      for (auto& replica : all) co_await replica->close();
    });
  }

 private:
  std::size_t next_ = 0;
};

}  // namespace
}  // namespace hypermesh::consensus::testing

namespace nexus {

// What a kept checkpoint refers to is retained longer.
INSTANTIATE_TEST_SUITE_P(
    Replicated, StateStoreConformance,
    testing::Values(Subject{
        "FourReplicas",
        [] { return std::make_unique<hypermesh::consensus::testing::ReplicatedSubject>(); },
        hypermesh::state::kKeyBytesMax, hypermesh::state::kValueBytesMax, 100}),
    subject_name);

}  // namespace nexus
