#include "state/memory_storage.hpp"

namespace hypermesh::state {
namespace {

template <class Map>
std::optional<std::string> get_from(const Map& map, std::string_view key) {
  const auto found = map.find(key);
  if (found == map.end()) return std::nullopt;
  return found->second;
}

template <class Map>
void scan_in(const Map& map, std::string_view from, std::string_view end,
             const Reader::Visit& visit) {
  for (auto at = map.lower_bound(from); at != map.end(); ++at) {
    if ((!end.empty() && at->first >= end) || !visit(at->first, at->second)) return;
  }
}

}  // namespace

class MemoryStorage::Snapshot final : public Reader {
 public:
  explicit Snapshot(std::shared_ptr<const Map> map) : map_(std::move(map)) {}
  base::Result<std::optional<std::string>> get(std::string_view key) const override {
    return get_from(*map_, key);
  }
  base::Result<> scan(std::string_view from, std::string_view end,
                      const Visit& visit) const override {
    scan_in(*map_, from, end, visit);
    return {};
  }

 private:
  std::shared_ptr<const Map> map_;
};

base::Result<std::optional<std::string>> MemoryStorage::get(std::string_view key) const {
  return get_from(*map_, key);
}

base::Result<> MemoryStorage::scan(std::string_view from, std::string_view end,
                                   const Visit& visit) const {
  scan_in(*map_, from, end, visit);
  return {};
}

std::unique_ptr<Reader> MemoryStorage::snapshot() const {
  return std::make_unique<Snapshot>(map_);
}

base::Result<> MemoryStorage::write(const Batch& batch) {
  if (failed_)
    return base::fail(base::Errc::Unavailable, "a write failed before; the state must be reopened");
  if (full_) {
    failed_ = true;
    return base::fail(base::Errc::ResourceExhausted,
                      "no space left for the state (a test says so)");
  }
  if (map_.use_count() > 1) map_ = std::make_shared<Map>(*map_);
  for (const auto& [from, end] : batch.delete_ranges) {
    auto at = map_->lower_bound(from);
    while (at != map_->end() && (end.empty() || at->first < end)) {
      before_.try_emplace(at->first, std::move(at->second));
      at = map_->erase(at);
    }
  }
  for (const auto& [key, value] : batch.writes) {
    const auto at = map_->lower_bound(key);
    const bool there = at != map_->end() && at->first == key;
    // What it was is needed no more by the map.
    const auto [before, first] = before_.try_emplace(key);
    if (first && there) before->second = std::move(at->second);
    if (value && there) {
      at->second = *value;
    } else if (value) {
      map_->emplace_hint(at, key, *value);
    } else if (there) {
      map_->erase(at);
    }
  }
  return {};
}

base::Result<> MemoryStorage::flush() {
  if (failed_)
    return base::fail(base::Errc::Unavailable, "a write failed before; the state must be reopened");
  before_.clear();
  return {};
}

base::Result<> MemoryStorage::reopen() {
  if (full_)
    return base::fail(base::Errc::ResourceExhausted,
                      "no space left for the state (a test says so)");
  lose_unflushed();
  failed_ = false;
  return {};
}

void MemoryStorage::lose_unflushed() {
  if (map_.use_count() > 1) map_ = std::make_shared<Map>(*map_);
  for (auto& [key, value] : before_) {
    if (value) {
      map_->insert_or_assign(key, std::move(*value));
    } else {
      map_->erase(key);
    }
  }
  before_.clear();
}

}  // namespace hypermesh::state
