// Whatever bytes a server sends: a proof is accepted for the value that the tree has, or for
// nothing. The root is of a tree that is made once.
#include "state/memory_storage.hpp"
#include "state/proof.hpp"

using namespace hypermesh::state;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const base::Digest root = [] {
    MemoryStorage storage;
    Tree tree(storage, 1 << 20);
    const std::string key = full_key(Space::User, "a");
    const base::Digest key_hash = base::sha256(key);
    const Leaf leaf{key, 1, 2, 0, leaf_hash(key_hash, 1, 2, 0, base::sha256("value"))};
    std::vector<LeafChange> changes{{key_hash, leaf}};
    BASE_ASSERT(tree.update(1, changes).has_value(), "a tree in memory is made");
    return tree.ref().root;
  }();
  const base::BytesView proof(data, size);
  if (const auto a = verify_proof(root, full_key(Space::User, "a"), proof))
    BASE_ASSERT(*a && (*a)->value == "value" && (*a)->modified == 2, "a key has one value");
  if (const auto b = verify_proof(root, full_key(Space::User, "b"), proof))
    BASE_ASSERT(!*b, "what is absent has no value");
  (void)decode_node(base::as_text(proof));
  (void)decode_row(base::as_text(proof));
  return 0;
}
