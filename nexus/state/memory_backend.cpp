#include "state/memory_backend.hpp"

namespace nexus {

class MemoryBackend::MemoryView final : public View {
 public:
  /// `map` is null: every read fails.
  explicit MemoryView(std::shared_ptr<const Map> map) : map_(std::move(map)) {}

  base::Result<std::optional<std::string>> get(std::string_view key) const override {
    if (!map_) return gone();
    const auto found = map_->find(key);
    if (found == map_->end()) return std::optional<std::string>();
    return found->second;
  }

  base::Result<Entries> scan(std::string_view from, std::string_view end, std::size_t entries_max,
                             std::size_t bytes_max) const override {
    if (!map_) return gone();
    Entries entries;
    std::size_t bytes = 0;
    for (auto at = map_->lower_bound(from); at != map_->end(); ++at) {
      if (!end.empty() && at->first >= end) break;
      if (entries.size() >= entries_max || bytes >= bytes_max) break;
      bytes += at->first.size() + at->second.size();
      entries.emplace_back(at->first, at->second);
    }
    return entries;
  }

  base::Result<std::optional<std::pair<std::string, std::string>>> last(
      std::string_view from, std::string_view end) const override {
    if (!map_) return gone();
    auto at = end.empty() ? map_->end() : map_->lower_bound(end);
    if (at == map_->begin() || std::prev(at)->first < from)
      return std::optional<std::pair<std::string, std::string>>();
    --at;
    return std::pair(at->first, at->second);
  }

 private:
  static std::unexpected<base::Error> gone() {
    return base::fail(base::Errc::Unavailable, "the disk is gone (a test says so)");
  }
  std::shared_ptr<const Map> map_;
};

std::unique_ptr<StateBackend::View> MemoryBackend::view() const {
  const std::scoped_lock lock(mutex_);
  if (failing_views_ > 0) {
    --failing_views_;
    return std::make_unique<MemoryView>(nullptr);
  }
  return std::make_unique<MemoryView>(map_);
}

base::Result<> MemoryBackend::write(const Batch& batch) {
  const std::scoped_lock lock(mutex_);
  if (full_)
    return base::fail(base::Errc::ResourceExhausted,
                      "no space left for the state (a test says so)");
  // Readers share the old map; without readers it is ours to change.
  auto next =
      map_.use_count() == 1 ? std::const_pointer_cast<Map>(map_) : std::make_shared<Map>(*map_);
  for (const auto& [from, end] : batch.delete_ranges)
    next->erase(next->lower_bound(from), next->lower_bound(end));
  for (const auto& [key, value] : batch.writes) {
    if (value) {
      next->insert_or_assign(key, *value);
    } else {
      next->erase(key);
    }
  }
  map_ = std::move(next);
  return {};
}

void MemoryBackend::set_full(bool full) {
  const std::scoped_lock lock(mutex_);
  full_ = full;
}

void MemoryBackend::fail_views(int count) {
  const std::scoped_lock lock(mutex_);
  failing_views_ = count;
}

void MemoryBackend::clear() {
  const std::scoped_lock lock(mutex_);
  map_ = std::make_shared<const Map>();
}

}  // namespace nexus
