#include "consensus/node/signature_checker.hpp"

#include <algorithm>

namespace hypermesh::consensus {

namespace {

constexpr std::size_t kSeenMax = 64;        // Tables of 98 KB.
constexpr std::uint64_t kWorthATable = 16;  // Checks: a table costs about as much.

}  // namespace

pbft::Checked Signatures::check(const pbft::Check& check) {
  pbft::Checked checked{check.ticket, {}};
  for (const auto& item : check.items) {
    checked.good.push_back(verify(item));
    if (!checked.good.back()) ++bad_;
  }
  return checked;
}

bool Signatures::verify(const pbft::Check::Item& item) {
  const Known known = find(item.key);
  return known ? known->verify(item.bytes, item.signature)
               : base::verify(item.key, item.bytes, item.signature);
}

Signatures::Known Signatures::find(const base::PublicKey& key) {
  const std::lock_guard lock(mutex_);
  if (seen_.size() >= kSeenMax && !seen_.contains(key)) forget_oldest();
  Seen& seen = seen_[key];
  seen.last = ++now_;
  if (++seen.times == kWorthATable) seen.known = base::ed25519::KnownKey::make(key);
  return seen.known;
}

// Keys that came once must not push out those that come always.
void Signatures::forget_oldest() {
  seen_.erase(std::ranges::min_element(seen_, {}, [](const auto& each) {
    return std::pair(each.second.known != nullptr, each.second.last);
  }));
}

SignatureChecker::SignatureChecker(const base::Executor& executor, base::BlockingPool& pool,
                                   Signatures& signatures, OnChecked on_checked)
    : pool_(pool),
      signatures_(signatures),
      on_checked_(std::move(on_checked)),
      scope_(executor),
      wanted_(executor) {
  scope_.spawn(run());
}

void SignatureChecker::check(pbft::Check check) {
  waiting_.push_back(std::move(check));
  wanted_.notify();
}

base::Task<> SignatureChecker::stop() {
  stopping_ = true;
  wanted_.notify();
  co_await scope_.join();
}

base::Task<> SignatureChecker::run() {
  while (!stopping_) {
    if (waiting_.empty()) {
      co_await wanted_.wait();
      continue;
    }
    const auto all = co_await pool_.run([this, checks = std::exchange(waiting_, {})] {
      std::vector<pbft::Checked> done;
      for (const auto& check : checks) done.push_back(signatures_.check(check));
      return done;
    });
    for (const auto& checked : all) on_checked_(checked);
  }
}

}  // namespace hypermesh::consensus
