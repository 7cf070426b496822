#include "consensus/node/relay.hpp"

#include <algorithm>

namespace hypermesh::consensus {

using base::MonotonicTime;

namespace {

constexpr std::size_t kRecentMax = 4096;
constexpr base::Duration kLook = std::chrono::milliseconds(100);

}  // namespace

bool Relay::add(const BundlePtr& bundle, MonotonicTime now, MonotonicTime deadline, Done done) {
  const auto digest = digest_of(*bundle);
  if (const auto known = recent_.find(digest); known != recent_.end()) {
    done(known->second);
    return false;
  }
  const auto [place, added] = under_way_.try_emplace(digest, UnderWay{bundle, now + resend_});
  place->second.waiters.push_back({deadline, std::move(done)});
  return added;
}

// Whoever is answered may ask again at once.
std::vector<Relay::Again> Relay::poll(MonotonicTime now) {
  if (now < look_at_) return {};
  look_at_ = now + kLook;
  std::vector<Waiter> late;
  std::vector<Again> send;
  for (auto each = under_way_.begin(); each != under_way_.end();) {
    UnderWay& bundle = each->second;
    const auto rest = std::ranges::stable_partition(
        bundle.waiters, [&](const auto& w) { return now < w.deadline; });
    std::ranges::move(rest, std::back_inserter(late));
    bundle.waiters.erase(rest.begin(), rest.end());
    if (bundle.waiters.empty()) {
      each = under_way_.erase(each);
      continue;
    }
    if (now >= bundle.resend_at) {
      bundle.resend_at = now + resend_;
      send.push_back({bundle.bundle, !std::exchange(bundle.again, true)});
    }
    ++each;
  }
  for (const Waiter& waiter : late) {
    waiter.done(base::fail(base::Errc::TimedOut,
                           "the bundle was not ordered in time; it may or may not take effect"));
  }
  return send;
}

void Relay::send_again() {
  look_at_ = MonotonicTime::min();
  for (auto& [digest, bundle] : under_way_) bundle.resend_at = MonotonicTime::min();
}

MonotonicTime Relay::wake_at() const {
  return under_way_.empty() ? MonotonicTime::max() : look_at_;
}

void Relay::on_executed(const BundleResult& result, const base::Digest& bundle, bool remember) {
  if (remember && recent_.try_emplace(bundle, result).second) {
    recent_order_.push_back(bundle);
    if (recent_order_.size() > kRecentMax) {
      recent_.erase(recent_order_.front());
      recent_order_.pop_front();
    }
  }
  const auto found = under_way_.find(bundle);
  if (found == under_way_.end()) return;
  const auto waiters = std::move(found->second.waiters);
  under_way_.erase(found);
  for (const Waiter& waiter : waiters) waiter.done(result);
}

std::vector<BundlePtr> Relay::under_way() const {
  std::vector<BundlePtr> bundles;
  for (const auto& [digest, bundle] : under_way_) bundles.push_back(bundle.bundle);
  return bundles;
}

void Relay::end(const base::Error& error) {
  for (const auto& [digest, bundle] : std::exchange(under_way_, {})) {
    for (const Waiter& waiter : bundle.waiters) waiter.done(std::unexpected(error));
  }
}

}  // namespace hypermesh::consensus
