#include "audit/merkle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace nexus {
namespace {

using base::Digest;

// RFC 6962, 2.1: MTH, as written there.
Digest reference_root(std::span<const Digest> leaves) {
  if (leaves.empty()) return merkle_empty_root();
  if (leaves.size() == 1) return leaves[0];
  std::size_t split = 1;
  while (split * 2 < leaves.size()) split *= 2;
  return merkle_node_hash(reference_root(leaves.first(split)),
                          reference_root(leaves.subspan(split)));
}

struct Tree {
  std::vector<Digest> leaves;
  std::vector<Digest> nodes;
  MerkleFrontier frontier;

  void grow_to(std::uint64_t size) {
    while (leaves.size() < size) {
      leaves.push_back(merkle_leaf_hash(base::as_bytes(std::to_string(leaves.size()))));
      frontier.append(leaves.back(), [this](const Digest& hash) { nodes.push_back(hash); });
    }
  }
  MerkleReader reader() const {
    return [this](MerkleNode node) -> base::Result<Digest> {
      const auto position = merkle_node_position(node);
      if (position >= nodes.size()) return base::fail(base::Errc::NotFound, "no such node");
      return nodes[position];
    };
  }
};

TEST(Merkle, FrontierAndNodesGiveTheRootOfTheRfc) {
  Tree tree;
  EXPECT_EQ(base::to_hex(tree.frontier.root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  for (std::uint64_t size = 1; size <= 130; ++size) {
    tree.grow_to(size);
    const Digest expected = reference_root(tree.leaves);
    EXPECT_EQ(tree.frontier.root(), expected) << size;
    EXPECT_EQ(merkle_root(size, tree.reader()), expected) << size;
    EXPECT_EQ(tree.nodes.size(), merkle_nodes_written(size));
    const auto restored = MerkleFrontier::restore(size, tree.frontier.peaks());
    EXPECT_EQ(restored->root(), expected);
  }
  EXPECT_FALSE(MerkleFrontier::restore(3, {}));
}

TEST(Merkle, EveryInclusionAndConsistencyProofHoldsAndNoOther) {
  Tree tree;
  tree.grow_to(40);
  for (std::uint64_t size = 1; size <= 40; ++size) {
    const Digest root = reference_root(std::span(tree.leaves).first(size));
    for (std::uint64_t index = 0; index < size; ++index) {
      auto proof = merkle_inclusion_proof(index, size, tree.reader()).value();
      EXPECT_TRUE(verify_inclusion(tree.leaves[index], index, size, proof, root))
          << index << " of " << size;
      EXPECT_FALSE(verify_inclusion(tree.leaves[(index + 1) % 40], index, size, proof, root));
      if (!proof.empty()) {
        proof.back()[7] ^= 1;
        EXPECT_FALSE(verify_inclusion(tree.leaves[index], index, size, proof, root));
        proof.pop_back();
        EXPECT_FALSE(verify_inclusion(tree.leaves[index], index, size, proof, root));
      }
    }
    for (std::uint64_t old_size = 1; old_size <= size; ++old_size) {
      const Digest old_root = reference_root(std::span(tree.leaves).first(old_size));
      auto proof = merkle_consistency_proof(old_size, size, tree.reader()).value();
      EXPECT_TRUE(verify_consistency(old_size, old_root, size, root, proof))
          << old_size << " to " << size;
      Digest other = old_root;
      other[0] ^= 1;
      EXPECT_FALSE(verify_consistency(old_size, other, size, root, proof));
      proof.push_back(root);
      EXPECT_FALSE(verify_consistency(old_size, old_root, size, root, proof));
    }
  }
  EXPECT_FALSE(merkle_inclusion_proof(40, 40, tree.reader()));
  EXPECT_FALSE(merkle_consistency_proof(0, 40, tree.reader()));
  EXPECT_FALSE(merkle_consistency_proof(41, 40, tree.reader()));
}

// The vectors of github.com/transparency-dev/merkle (tests/data/ct-merkle-vectors/SOURCE.txt).
class MerkleVectors : public testing::Test {
 protected:
  // Some vectors hold hashes of another length, which no Digest can: any other digest stands for
  // them, equal texts for equal ones.
  static std::optional<Digest> digest(const nlohmann::json& value) {
    if (value.is_null()) return std::nullopt;
    const auto bytes = base::from_base64(value.get<std::string>());
    if (!bytes || bytes->empty()) return std::nullopt;
    if (bytes->size() != 32) return base::sha256(base::BytesView(*bytes));
    Digest digest;
    std::copy(bytes->begin(), bytes->end(), digest.begin());
    return digest;
  }
  static std::optional<std::vector<Digest>> digests(const nlohmann::json& value) {
    std::vector<Digest> all;
    if (value.is_null()) return all;
    for (const auto& item : value) {
      const auto one = digest(item);
      if (!one) return std::nullopt;
      all.push_back(*one);
    }
    return all;
  }
  static std::vector<std::pair<std::string, nlohmann::json>> load(const std::string& folder) {
    std::vector<std::pair<std::string, nlohmann::json>> cases;
    const auto root = std::filesystem::path(PROJECT_SOURCE_DIR) /
                      "tests/data/ct-merkle-vectors/testdata" / folder;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      if (entry.is_regular_file())
        cases.emplace_back(entry.path().string(),
                           nlohmann::json::parse(std::ifstream(entry.path())));
    }
    return cases;
  }
};

TEST_F(MerkleVectors, Inclusion) {
  const auto cases = load("inclusion");
  EXPECT_GT(cases.size(), 80u);
  for (const auto& [path, test] : cases) {
    const auto root = digest(test["root"]), leaf = digest(test["leafHash"]);
    const auto proof = digests(test["proof"]);
    const bool holds = root && leaf && proof &&
                       verify_inclusion(*leaf, test["leafIdx"].get<std::uint64_t>(),
                                        test["treeSize"].get<std::uint64_t>(), *proof, *root);
    EXPECT_EQ(holds, !test["wantErr"].get<bool>()) << path;
  }
}

TEST_F(MerkleVectors, Consistency) {
  const auto cases = load("consistency");
  EXPECT_GT(cases.size(), 80u);
  for (const auto& [path, test] : cases) {
    const auto root1 = digest(test["root1"]), root2 = digest(test["root2"]);
    const auto proof = digests(test["proof"]);
    const bool holds = root1 && root2 && proof &&
                       verify_consistency(test["size1"].get<std::uint64_t>(), *root1,
                                          test["size2"].get<std::uint64_t>(), *root2, *proof);
    EXPECT_EQ(holds, !test["wantErr"].get<bool>()) << path;
  }
}

}  // namespace
}  // namespace nexus
