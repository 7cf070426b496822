#include "state/tree.hpp"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace hypermesh::state {
namespace {

// A larger subtree gets a page for its root; one that shrinks gives it up a good deal later, so
// that a key that comes and goes does not move others.
constexpr std::size_t kBucketLeavesMax = 32, kJoinedLeavesMax = 16;
constexpr std::size_t kBucketBytesMax = 4096, kJoinedBytesMax = 2048;

bool fits(const Bucket& bucket) {
  return bucket.size() <= 1 ||
         (bucket.size() <= kBucketLeavesMax && bucket.packed().size() <= kBucketBytesMax);
}

// The first run of changes that go to one child of a node at `depth`.
std::span<LeafChange> next_group(std::span<LeafChange> changes, std::size_t depth) {
  const int index = nibble(changes.front().key_hash, depth);
  std::size_t count = 1;
  while (count < changes.size() && nibble(changes[count].key_hash, depth) == index) ++count;
  return changes.first(count);
}

}  // namespace

std::size_t Tree::PathHash::operator()(const Path& path) const {
  std::uint64_t word;
  std::memcpy(&word, path.nibbles.data(), sizeof word);
  return (word + path.depth) * 0x9e3779b97f4a7c15;
}

std::size_t Tree::DigestHash::operator()(const base::Digest& digest) const {
  std::size_t word;
  std::memcpy(&word, digest.data(), sizeof word);
  return word;
}

base::Result<> Tree::load(const TreeRef& tree) {
  pages_.clear();
  waiting_.clear();
  changed_.clear();
  changed_count_ = 0;
  removed_.clear();
  stale_.clear();
  used_bytes_ = 0;
  root_ = {};
  root_changed_ = false;
  if (tree.version != 0) {
    TRY(root_, read_page(storage_, tree.version, {}));
  }
  if (root_.hash(0) != tree.root)
    return base::fail(base::Errc::DataLoss, "the root of the state's tree is damaged");
  ref_ = tree;
  return {};
}

base::Result<std::optional<LeafMeta>> Tree::find(const base::Digest& key_hash,
                                                 std::string_view full) {
  if (const auto found = waiting_.find(key_hash); found != waiting_.end()) {
    const auto& leaf = found->second;
    if (!leaf || leaf->key != full) return std::optional<LeafMeta>();
    return LeafMeta{leaf->created, leaf->modified, leaf->lease};
  }
  const Page* page = &root_;
  Path path;
  while (page->inner) {
    const int index = nibble(key_hash, path.depth);
    if (!page->inner->has(index)) return std::optional<LeafMeta>();
    path = path.child(index);
    TRY(page, page_at(path, page->inner->versions[static_cast<std::size_t>(index)]));
  }
  return page->bucket.find(key_hash, full);
}

base::Result<> Tree::fold(std::uint64_t version) {
  if (waiting_.empty()) return {};
  std::vector<LeafChange> changes;
  changes.reserve(waiting_.size());
  for (auto& [key_hash, leaf] : waiting_) changes.push_back({key_hash, std::move(leaf)});
  waiting_.clear();
  std::ranges::sort(changes, {}, &LeafChange::key_hash);
  version_ = version;
  TRY_DO(update(root_, {}, changes));
  root_changed_ = true;
  if (ref_.version != version && ref_.version != 0) stale_.push_back(page_key(ref_.version, {}));
  ref_ = {version, root_.hash(0)};
  trim();
  return {};
}

void Tree::store(Storage::Batch& batch, std::vector<std::string>& stale) {
  BASE_ASSERT(waiting_.empty(), "what is stored is folded first");
  if (root_changed_) batch.put(page_key(version_, {}), encode_page(root_));
  root_changed_ = false;
  for (const Path& path : removed_) {
    const auto found = pages_.find(path);
    if (found == pages_.end() || !found->second.changed) batch.remove(page_key(version_, path));
  }
  removed_.clear();
  for (const Path& path : changed_) {
    const auto found = pages_.find(path);
    if (found == pages_.end() || !std::exchange(found->second.changed, false)) continue;
    batch.put(page_key(version_, path), encode_page(*found->second.page));
    found->second.used = 0;
    use(found->second);
  }
  changed_.clear();
  changed_count_ = 0;
  std::ranges::move(stale_, std::back_inserter(stale));
  stale_.clear();
}

base::Result<> Tree::update(Page& page, const Path& path, std::span<LeafChange> changes) {
  if (!page.inner) {
    Bucket leaves = page.bucket.with(changes);
    if (fits(leaves)) {
      page.bucket = std::move(leaves);
    } else {
      split(page, path, leaves);
    }
    return {};
  }
  while (!changes.empty()) {
    const auto group = next_group(changes, path.depth);
    const int index = nibble(group.front().key_hash, path.depth);
    TRY_DO(update_child(*page.inner, index, path.child(index), group));
    changes = changes.subspan(group.size());
  }
  return join(page, path);
}

base::Result<> Tree::update_child(InnerPage& parent, int index, const Path& path,
                                  std::span<LeafChange> changes) {
  const std::uint64_t version = parent.versions[static_cast<std::size_t>(index)];
  Page* page = nullptr;
  if (version == 0) {
    page = put_changed(path, std::make_unique<Page>());
  } else {
    TRY(page, changing(path, version));
  }
  TRY_DO(update(*page, path, changes));
  const std::uint64_t count = page->count();
  if (count > 0) {
    if (version != 0 && version != version_) stale_.push_back(page_key(version, path));
    parent.set(index, page->hash(path.depth), version_, count);
  } else {
    remove_page(path, version);
    parent.clear(index);
  }
  return {};
}

void Tree::split(Page& page, const Path& path, const Bucket& leaves) {
  page.bucket = {};
  page.inner = std::make_unique<InnerPage>();
  for (std::size_t first = 0; first < leaves.size();) {
    const std::size_t end = leaves.end_of_group(first, leaves.size(), path.depth);
    const int index = leaves.nibble(first, path.depth);
    Bucket part;
    for (std::size_t i = first; i < end; ++i) part.add(leaves, i);
    auto below = std::make_unique<Page>();
    if (fits(part)) {
      below->bucket = std::move(part);
    } else {
      split(*below, path.child(index), part);
    }
    page.inner->set(index, below->hash(path.depth + 1u), version_, end - first);
    put_changed(path.child(index), std::move(below));
    first = end;
  }
}

// Few leaves are a bucket again. One leaf or none must be: it hashes as no inner node does.
base::Result<> Tree::join(Page& page, const Path& path) {
  if (page.count() > kJoinedLeavesMax) return {};
  Bucket all;
  for (int i = 0; i < kFanout; ++i) {
    if (!page.inner->has(i)) continue;
    TRY(const Page* const below,
        page_at(path.child(i), page.inner->versions[static_cast<std::size_t>(i)]));
    if (below->inner) return {};
    for (std::size_t leaf = 0; leaf < below->bucket.size(); ++leaf) all.add(below->bucket, leaf);
  }
  if (all.size() > 1 && all.packed().size() > kJoinedBytesMax) return {};
  for (int i = 0; i < kFanout; ++i) {
    if (page.inner->has(i))
      remove_page(path.child(i), page.inner->versions[static_cast<std::size_t>(i)]);
  }
  page.inner.reset();
  page.bucket = std::move(all);
  return {};
}

base::Result<const Page*> Tree::page_at(const Path& path, std::uint64_t version) {
  if (const auto found = pages_.find(path); found != pages_.end()) return use(found->second);
  TRY(Page page, read_page(storage_, version, path));
  return use(pages_[path] = {std::make_unique<Page>(std::move(page))});
}

base::Result<Page*> Tree::changing(const Path& path, std::uint64_t version) {
  const auto found = pages_.find(path);
  if (found == pages_.end()) {
    TRY(Page page, read_page(storage_, version, path));
    return put_changed(path, std::make_unique<Page>(std::move(page)));
  }
  mark_changed(path, found->second);
  return found->second.page.get();
}

void Tree::remove_page(const Path& path, std::uint64_t version) {
  if (const auto found = pages_.find(path); found != pages_.end()) {
    disuse(found->second);
    if (found->second.changed) --changed_count_;
    pages_.erase(found);
  }
  if (version == version_) {
    removed_.push_back(path);
  } else if (version != 0) {
    stale_.push_back(page_key(version, path));
  }
}

Page* Tree::put_changed(const Path& path, std::unique_ptr<Page> page) {
  Held& held = pages_[path];
  mark_changed(path, held);
  held.page = std::move(page);
  return held.page.get();
}

void Tree::mark_changed(const Path& path, Held& held) {
  if (held.changed) return;
  disuse(held);
  held.changed = true;
  changed_.push_back(path);
  ++changed_count_;
}

const Page* Tree::use(Held& held) {
  if (!held.changed && std::exchange(held.used, generation_) != generation_)
    used_bytes_ += held.page->memory_bytes();
  return held.page.get();
}

// Before it changes or goes: what it counted for is that of its size now.
void Tree::disuse(const Held& held) {
  if (!held.changed && held.used == generation_) used_bytes_ -= held.page->memory_bytes();
}

void Tree::trim() {
  if (used_bytes_ < cache_bytes_max_ / 2) return;
  erase_if(pages_, [this](const auto& each) {
    return !each.second.changed && each.second.used != generation_;
  });
  ++generation_;
  used_bytes_ = 0;
}

}  // namespace hypermesh::state
