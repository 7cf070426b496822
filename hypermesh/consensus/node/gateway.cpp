#include "consensus/node/gateway.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hypermesh::consensus {

using base::Errc;
using base::MonotonicTime;

namespace {

constexpr const char* kNotRead = "what was ordered before was not known in time";

// An operation that was ordered too late is as if it had never been.
base::Result<std::uint64_t> answer_of(const state::Outcome& outcome) {
  auto result = outcome.result();
  if (!result && result.error().code == Errc::TimedOut) result.error().code = Errc::NoQuorum;
  return result;
}

}  // namespace

Gateway::Gateway(const ClusterId& cluster, const base::SigningKey& key, std::uint64_t first,
                 GatewayOptions options)
    : cluster_(cluster), key_(key), options_(options), next_(std::max<std::uint64_t>(first, 1)) {
  BASE_ASSERT(options_.bundles_max < kClientWindow, "the window holds all that is under way");
  BASE_ASSERT(options_.operations_max <= kOperationsPerBundleMax, "a bundle holds them");
}

void Gateway::submit(base::Bytes command, MonotonicTime now, MonotonicTime deadline, Done done) {
  if (command.size() > kCommandBytesMax) {
    return done(
        base::fail(Errc::ResourceExhausted, fmt::format("a command of {} bytes; one has at most {}",
                                                        command.size(), kCommandBytesMax)));
  }
  if (waiting_bytes_ + command.size() > options_.waiting_bytes_max) {
    return done(base::fail(Errc::ResourceExhausted,
                           "too many operations wait to be ordered; nothing was done, try again"));
  }
  waiting_bytes_ += command.size();
  const auto ordered_deadline = deadline_of(command);
  first_deadline_ = std::min(first_deadline_, deadline);
  waiting_.push_back({std::move(command), now, deadline, std::move(done), ordered_deadline});
}

void Gateway::barrier(MonotonicTime now, MonotonicTime deadline, Done done) {
  barriers_.push_back({{}, now, deadline, std::move(done), 0});
}

MonotonicTime Gateway::waits_since() const {
  MonotonicTime since = MonotonicTime::max();
  if (!waiting_.empty()) since = waiting_.front().since;
  if (!barriers_.empty()) since = std::min(since, barriers_.front().since);
  return since;
}

// What became of a bundle is known for certain only while its number is in the window.
bool Gateway::may_send() const {
  return !held() && under_way_.size() < options_.bundles_max &&
         (under_way_.empty() || next_ - under_way_.begin()->first < kClientWindow);
}

// When to send what waits. Callers that wait for answers ask again when they have them, so about as
// much as the last bundle had is on its way when it is executed.
MonotonicTime Gateway::due(MonotonicTime now) const {
  if (!anything_waits() || !may_send()) return MonotonicTime::max();
  const std::size_t waiting = waiting_.size() + barriers_.size();
  if (waiting >= options_.operations_at_once || waiting_bytes_ >= options_.bytes_max) return now;
  if (!under_way_.empty())
    return waits_since() + std::clamp(usual_, options_.wait_min, options_.wait_max);
  if (waiting >= last_) return now;
  return waits_since() + std::min(usual_ / 8, options_.wait_max);
}

std::vector<Gateway::Sent> Gateway::poll(MonotonicTime now) {
  expire(now);
  std::vector<Sent> send;
  for (auto& [sequence, bundle] : under_way_) {
    if (now < bundle.resend_at) continue;
    bundle.resend_at = now + options_.resend;
    send.push_back({bundle.bundle, true});
  }
  while (due(now) <= now) {
    last_ = waiting_.size() + barriers_.size();
    send.push_back({make_bundle(now), false});
  }
  return send;
}

void Gateway::send_again() {
  for (auto& [sequence, bundle] : under_way_) bundle.resend_at = MonotonicTime::min();
}

BundlePtr Gateway::make_bundle(MonotonicTime now) {
  auto bundle = std::make_shared<Bundle>();
  UnderWay under_way{nullptr, {}, std::exchange(barriers_, {}), now, now + options_.resend};
  std::size_t bytes = 0;
  while (!waiting_.empty() && under_way.operations.size() < options_.operations_max) {
    Operation& first = waiting_.front();
    if (!under_way.operations.empty() && bytes + first.command.size() > options_.bytes_max) break;
    bytes += first.command.size();
    bundle->operations.push_back(std::move(first.command));
    under_way.operations.push_back(std::move(first));
    waiting_.pop_front();
  }
  waiting_bytes_ -= bytes;
  if (bundle->operations.empty())
    bundle->operations.push_back(encode_on_state(state::encode(state::Operation{})));
  bundle->client = client();
  bundle->sequence = next_++;
  bundle->signature = key_.sign(signed_bytes(cluster_, *bundle));
  under_way.bundle = bundle;
  under_way_.emplace(bundle->sequence, std::move(under_way));
  return bundle;
}

// Answers those whose time has passed; whether somebody still waits.
bool Gateway::expire_operations(UnderWay& bundle, MonotonicTime now) const {
  bool awaited = false;
  for (Operation& operation : bundle.operations) {
    if (operation.done == nullptr) continue;
    if (now < operation.deadline) {
      awaited = true;
      continue;
    }
    const bool passed =
        operation.ordered_deadline != 0 && ordered_time_ > operation.ordered_deadline;
    std::exchange(operation.done, nullptr)(
        passed ? base::fail(Errc::NoQuorum,
                            "the operation was not ordered in time and will not take effect")
               : base::fail(Errc::TimedOut,
                            fmt::format("the operation was not ordered in time; it may or may not "
                                        "take effect (it is in bundle {} of this node)",
                                        bundle.bundle->sequence)));
  }
  for (Operation& barrier : bundle.barriers) {
    if (barrier.done == nullptr) continue;
    if (now < barrier.deadline) {
      awaited = true;
    } else {
      std::exchange(barrier.done, nullptr)(base::fail(Errc::TimedOut, kNotRead));
    }
  }
  return awaited;
}

// Whoever is answered may ask again at once.
void Gateway::expire(MonotonicTime now) {
  std::vector<Done> not_sent, not_read;
  const auto take_late = [now](auto& operations, std::vector<Done>& late) {
    std::erase_if(operations, [&](Operation& operation) {
      if (now < operation.deadline) return false;
      late.push_back(std::move(operation.done));
      return true;
    });
  };
  if (now >= first_deadline_) {
    take_late(waiting_, not_sent);
    waiting_bytes_ = 0;
    first_deadline_ = MonotonicTime::max();
    for (const Operation& operation : waiting_) {
      waiting_bytes_ += operation.command.size();
      first_deadline_ = std::min(first_deadline_, operation.deadline);
    }
  }
  take_late(barriers_, not_read);
  for (auto each = under_way_.begin(); each != under_way_.end();)
    each = expire_operations(each->second, now) ? std::next(each) : under_way_.erase(each);
  if (not_sent.empty() && not_read.empty()) return;
  const auto why = held() ? fmt::format("no quorum: {} voters can be reached, {} are needed; ",
                                        reached_, quorum_)
                          : std::string();
  for (const Done& done : not_sent) {
    done(base::fail(Errc::NoQuorum,
                    why + "the operation was not sent in time, and will not take effect"));
  }
  for (const Done& done : not_read)
    done(base::fail(held() ? Errc::NoQuorum : Errc::TimedOut, why + kNotRead));
}

MonotonicTime Gateway::wake_at() const {
  MonotonicTime at = MonotonicTime::max();
  const auto deadlines = [&](const auto& operations) {
    for (const auto& operation : operations)
      if (operation.done != nullptr) at = std::min(at, operation.deadline);
  };
  if (!waiting_.empty()) at = first_deadline_;
  deadlines(barriers_);
  at = std::min(at, due(MonotonicTime::min()));
  for (const auto& [sequence, bundle] : under_way_) {
    at = std::min(at, bundle.resend_at);
    deadlines(bundle.operations);
    deadlines(bundle.barriers);
  }
  return at;
}

void Gateway::on_executed(const BundleResult& result, MonotonicTime now) {
  const auto found = under_way_.find(result.sequence);
  if (result.client != client() || found == under_way_.end()) return;
  UnderWay under_way = std::move(found->second);
  under_way_.erase(found);
  if (result.refused && result.outcomes.at(0).refused == Errc::FailedPrecondition) {
    // An earlier life of this key used the number: the clock went back. Nothing was executed.
    next_ = std::max(next_, result.outcomes.at(0).number + kClientWindow);
    for (std::size_t i = under_way.operations.size(); i-- > 0;) {
      Operation& operation = under_way.operations[i];
      if (operation.done == nullptr) continue;
      operation.command = under_way.bundle->operations[i];
      waiting_bytes_ += operation.command.size();
      first_deadline_ = std::min(first_deadline_, operation.deadline);
      waiting_.push_front(std::move(operation));
    }
    std::ranges::move(under_way.barriers, std::back_inserter(barriers_));
    return;
  }
  const base::Duration took = now - under_way.sent;
  usual_ = usual_ == base::Duration::zero() ? took : usual_ + (took - usual_) / 8;
  for (std::size_t i = 0; i < under_way.operations.size(); ++i) {
    const Operation& operation = under_way.operations[i];
    if (operation.done == nullptr) continue;
    const auto& outcome = result.outcomes.at(result.refused ? 0 : i);
    operation.done(answer_of(outcome));
  }
  for (const Operation& barrier : under_way.barriers) {
    if (barrier.done == nullptr) continue;
    if (result.refused) {
      barrier.done(result.outcomes.at(0).result());
    } else {
      barrier.done(0);
    }
  }
}

std::vector<BundlePtr> Gateway::under_way() const {
  std::vector<BundlePtr> bundles;
  for (const auto& [sequence, bundle] : under_way_) bundles.push_back(bundle.bundle);
  return bundles;
}

void Gateway::end(const base::Error& error) {
  for (auto& operation : std::exchange(waiting_, {})) operation.done(std::unexpected(error));
  waiting_bytes_ = 0;
  for (auto& barrier : std::exchange(barriers_, {})) barrier.done(std::unexpected(error));
  for (auto& [sequence, bundle] : std::exchange(under_way_, {})) {
    for (auto* const operations : {&bundle.operations, &bundle.barriers}) {
      for (auto& operation : *operations)
        if (operation.done != nullptr) operation.done(std::unexpected(error));
    }
  }
}

}  // namespace hypermesh::consensus
