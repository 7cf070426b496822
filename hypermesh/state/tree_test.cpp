#include <gtest/gtest.h>

#include <algorithm>
#include <base/random.hpp>
#include <map>
#include <set>

#include "state/memory_storage.hpp"
#include "state/proof.hpp"

namespace hypermesh::state {
namespace {

using Model = std::map<std::string, std::pair<Stamp, Row>>;

// The definition of the root, without any sharing: what `Tree` must agree with.
std::optional<base::Digest> slow_hash(
    const std::vector<std::pair<base::Digest, base::Digest>>& leaves, std::size_t depth) {
  if (leaves.empty() && depth > 0) return std::nullopt;
  if (leaves.size() == 1 && depth > 0) return leaves.front().second;
  std::uint16_t present = 0;
  std::vector<base::Digest> hashes;
  for (int i = 0; i < kFanout; ++i) {
    std::vector<std::pair<base::Digest, base::Digest>> below;
    for (const auto& leaf : leaves) {
      if (nibble(leaf.first, depth) == i) below.push_back(leaf);
    }
    if (const auto hash = slow_hash(below, depth + 1)) {
      present = static_cast<std::uint16_t>(present | 1u << i);
      hashes.push_back(*hash);
    }
  }
  return inner_hash(present, hashes);
}

base::Digest slow_root(const Model& model) {
  std::vector<std::pair<base::Digest, base::Digest>> leaves;
  for (const auto& [key, value] : model) {
    const auto key_hash = base::sha256(key);
    leaves.emplace_back(key_hash, hash_of(key_hash, value.first, value.second));
  }
  return *slow_hash(leaves, 0);
}

struct Grown {
  MemoryStorage storage;
  Tree tree{storage, 16 << 10};  // small: nodes are read back all the time
  Model model;
  std::vector<std::string> stale;
  std::uint64_t last_version = 0;

  const TreeRef& stored() {
    Storage::Batch batch;
    BASE_ASSERT(tree.fold(last_version).has_value(), "memory does not fail");
    tree.store(batch, stale);
    BASE_ASSERT(storage.write(batch).has_value(), "memory does not fail");
    return tree.ref();
  }

  void apply(std::uint64_t version, Stamp stamp,
             const std::map<std::string, std::optional<std::string>>& writes) {
    Storage::Batch batch;
    // Sometimes several slots gather before they are hashed, or stored.
    if (version != last_version) {
      ASSERT_TRUE(tree.fold(last_version));
      tree.store(batch, stale);
      ASSERT_TRUE(storage.write(batch));
      batch = {};
    }
    last_version = version;
    for (const auto& [key, value] : writes) {
      const auto key_hash = base::sha256(key);
      if (!value) {
        model.erase(key);
        tree.change(key_hash, std::nullopt);
        continue;
      }
      const Row row{.created = 1, .lease = stamp % 3, .value = *value};
      model[key] = {stamp, row};
      batch.put(row_key(key, stamp), encode_row(row.created, row.lease, row.value));
      tree.change(key_hash, Leaf{key, 1, stamp, row.lease, hash_of(key_hash, stamp, row)});
    }
    if (stamp % 4 != 0) {
      ASSERT_TRUE(tree.fold(version));
      if (stamp % 3 != 0) tree.store(batch, stale);
    }
    ASSERT_TRUE(storage.write(batch));
  }
};

std::map<std::string, std::optional<std::string>> some_writes(base::Rng& rng, std::size_t keys) {
  std::map<std::string, std::optional<std::string>> writes;
  for (std::uint64_t i = 1 + rng.below(12); i > 0; --i) {
    auto& value = writes[full_key(Space::User, std::to_string(rng.below(keys)))];
    if (rng.below(3) == 0) {
      value.reset();
    } else {
      value = std::to_string(rng.u64());
    }
  }
  return writes;
}

TEST(Tree, HasTheRootThatItsLeavesDefine) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(seed);
    base::SeededRng rng(seed);
    Grown grown;
    const std::size_t keys = 1 + rng.below(200);
    for (Stamp stamp = 1; stamp <= 30; ++stamp) {
      grown.apply(1 + stamp / 7, stamp, some_writes(rng, keys));
      ASSERT_TRUE(grown.tree.fold(1 + stamp / 7));
      ASSERT_EQ(grown.tree.ref().root, slow_root(grown.model));
    }
    for (std::size_t i = 0; i < keys; ++i) {
      const std::string key = full_key(Space::User, std::to_string(i));
      const auto leaf = grown.tree.find(base::sha256(key), key);
      ASSERT_TRUE(leaf);
      const auto found = grown.model.find(key);
      ASSERT_EQ(leaf->has_value(), found != grown.model.end());
      if (*leaf) {
        EXPECT_EQ((*leaf)->modified, found->second.first);
      }
    }
  }
}

TEST(Tree, OlderVersionsStayReadableUntilTheirNodesGo) {
  base::SeededRng rng(7);
  Grown grown;
  for (Stamp stamp = 1; stamp <= 40; ++stamp) grown.apply(1, stamp, some_writes(rng, 150));
  const TreeRef first = grown.stored();
  const Model then = grown.model;
  EXPECT_TRUE(grown.stale.empty()) << "a version replaces its own nodes";
  for (Stamp stamp = 41; stamp <= 80; ++stamp) grown.apply(2, stamp, some_writes(rng, 150));
  for (const auto& [key, value] : then) {
    const auto proof = prove(grown.storage, first, key);
    ASSERT_TRUE(proof) << proof.error().describe();
    const auto shown = verify_proof(first.root, key, *proof);
    ASSERT_TRUE(shown) << shown.error().describe();
    ASSERT_TRUE(*shown);
    EXPECT_EQ((*shown)->value, value.second.value);
  }
  const TreeRef last = grown.stored();
  // Without the stale nodes, exactly the newest tree is left.
  Storage::Batch batch;
  for (const auto& key : grown.stale) batch.remove(key);
  ASSERT_TRUE(grown.storage.write(batch));
  std::size_t stored = 0;
  std::set<std::string> reachable;
  ASSERT_TRUE(grown.storage.scan("n", "o", [&](auto, auto) { return ++stored > 0; }));
  const std::function<void(std::uint64_t, Path)> count = [&](std::uint64_t version, Path path) {
    const auto page = read_page(grown.storage, version, path);
    ASSERT_TRUE(page) << page.error().describe();
    reachable.insert(page_key(version, path));
    for (int i = 0; i < kFanout; ++i) {
      if (page->inner && page->inner->has(i))
        count(page->inner->versions[static_cast<std::size_t>(i)], path.child(i));
    }
  };
  count(last.version, {});
  EXPECT_EQ(stored, reachable.size());
}

TEST(Tree, LoadsWhatItWrote) {
  base::SeededRng rng(8);
  Grown grown;
  for (Stamp stamp = 1; stamp <= 20; ++stamp) grown.apply(stamp, stamp, some_writes(rng, 90));
  Tree again(grown.storage, 1 << 20);
  ASSERT_TRUE(again.load(grown.stored()));
  TreeRef wrong = grown.tree.ref();
  wrong.root[3] ^= 1;
  EXPECT_EQ(again.load(wrong).error().code, base::Errc::DataLoss);
  Tree empty(grown.storage, 1 << 20);
  EXPECT_TRUE(empty.load({}));
  EXPECT_EQ(empty.ref().root, empty_root());
}

TEST(Proof, ShowsPresenceAndAbsence) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    base::SeededRng rng(seed);
    Grown grown;
    const std::size_t keys = 1 + rng.below(300);
    for (Stamp stamp = 1; stamp <= 1 + seed; ++stamp) grown.apply(1, stamp, some_writes(rng, keys));
    const TreeRef tree = grown.stored();
    for (std::size_t i = 0; i < keys; ++i) {
      const std::string key = full_key(Space::User, std::to_string(i));
      const auto proof = prove(grown.storage, tree, key);
      ASSERT_TRUE(proof);
      const auto shown = verify_proof(tree.root, key, *proof);
      ASSERT_TRUE(shown) << shown.error().describe();
      const auto found = grown.model.find(key);
      ASSERT_EQ(shown->has_value(), found != grown.model.end());
      if (*shown) {
        const ProvenValue wanted{found->second.second.value, 1, found->second.first,
                                 found->second.second.lease};
        ASSERT_EQ(**shown, wanted);
      }
    }
  }
}

TEST(Proof, NoChangedByteIsAccepted) {
  base::SeededRng rng(5);
  Grown grown;
  for (Stamp stamp = 1; stamp <= 20; ++stamp) grown.apply(1, stamp, some_writes(rng, 60));
  const TreeRef tree = grown.stored();
  for (int i = 0; i < 60; ++i) {
    const std::string key = full_key(Space::User, std::to_string(i));
    const auto proof = prove(grown.storage, tree, key);
    ASSERT_TRUE(proof);
    for (std::size_t at = 0; at < proof->size(); ++at) {
      base::Bytes changed = *proof;
      changed[at] ^= static_cast<std::uint8_t>(1 + rng.below(255));
      ASSERT_FALSE(verify_proof(tree.root, key, changed)) << "key " << i << " byte " << at;
    }
    const std::string other = full_key(Space::User, std::to_string(i) + "x");
    const auto shown = verify_proof(tree.root, other, *proof);
    ASSERT_TRUE(!shown || !*shown) << "a proof of one key shows no value of another";
    for (std::size_t size = 0; size < proof->size(); size += 7)
      ASSERT_FALSE(verify_proof(tree.root, key, base::BytesView(*proof).first(size)));
  }
}

TEST(Keys, RowsKeepTheOrderOfKeysAndTheNewestComesFirst) {
  const std::vector<std::string> keys = {std::string("u\0", 2),
                                         std::string("u\0\0", 3),
                                         std::string("u\0\1", 3),
                                         "ua",
                                         std::string("ua\0", 3),
                                         "ua\xff",
                                         "ub"};
  std::string last;
  for (const auto& key : keys) {
    for (const Stamp stamp : {~0ull, 9ull, 1ull, 0ull}) {
      const std::string row = row_key(key, stamp);
      EXPECT_LT(last, row);
      EXPECT_LT(row, after_rows(key));
      const auto name = parse_row_key(row);
      ASSERT_TRUE(name);
      EXPECT_EQ(name->key, key);
      EXPECT_EQ(name->stamp, stamp);
      last = row;
    }
    last = after_rows(key);
  }
}

TEST(MemoryStorage, ASnapshotIsOfItsMomentAndAPowerCutOfTheLastFlush) {
  MemoryStorage storage;
  Storage::Batch one, two;
  one.put("a", "1");
  one.put("b", "1");
  two.put("a", "2");
  two.delete_ranges.emplace_back("b", "c");
  two.put("c", "2");
  ASSERT_TRUE(storage.write(one));
  ASSERT_TRUE(storage.flush());
  const auto before = storage.snapshot();
  ASSERT_TRUE(storage.write(two));
  EXPECT_EQ(*before->get("a"), "1");
  EXPECT_EQ(*before->get("b"), "1");
  EXPECT_EQ(*storage.get("a"), "2");
  EXPECT_FALSE(*storage.get("b"));
  storage.lose_unflushed();
  EXPECT_EQ(*storage.get("a"), "1");
  EXPECT_EQ(*storage.get("b"), "1");
  EXPECT_FALSE(*storage.get("c"));
  storage.set_full(true);
  EXPECT_EQ(storage.write(one).error().code, base::Errc::ResourceExhausted);
  storage.set_full(false);
  EXPECT_FALSE(storage.write(one)) << "only reopening goes on";
  ASSERT_TRUE(storage.reopen());
  EXPECT_TRUE(storage.write(two));
}

}  // namespace
}  // namespace hypermesh::state
