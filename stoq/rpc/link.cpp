#include "rpc/link.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace stoq::rpc {

using base::Duration;
using base::Errc;
using base::MonotonicTime;

std::vector<Link::Effect> Link::step(const Event& event, MonotonicTime now) {
  return std::visit([&](const auto& e) { return on(e, now); }, event);
}

MonotonicTime Link::next_timeout() const {
  if (state_ == State::Backoff) return wanted_ ? until_ : MonotonicTime::max();
  if (state_ == State::Open && dialled_ && calls_ == 0) return since_ + options_.idle_max;
  return MonotonicTime::max();
}

std::optional<base::Error> Link::refusal(MonotonicTime now, MonotonicTime deadline) const {
  if (state_ != State::Backoff || now >= until_) return std::nullopt;
  if (last_->code != Errc::NotVerified && until_ < deadline) return std::nullopt;
  return failure(now);
}

base::Error Link::failure(MonotonicTime now) const {
  BASE_ASSERT(last_, "asked after a failure only");
  base::Error error = *last_;
  if (state_ == State::Backoff && until_ > now) {
    using std::chrono::milliseconds;
    error = base::with_hint(
        std::move(error),
        fmt::format("the next attempt is made in {} ms at the earliest",
                    std::chrono::duration_cast<milliseconds>(until_ - now).count() + 1));
  }
  return error;
}

std::vector<Link::Effect> Link::dial() {
  state_ = State::Dialling;
  wanted_ = false;
  if (dialling_) return {};
  dialling_ = true;
  return {Dial{}};
}

std::vector<Link::Effect> Link::on(const Wanted& event, MonotonicTime now) {
  if (state_ == State::Idle) return dial();
  if (state_ != State::Backoff) return {};
  if (now >= until_) return dial();
  if (!refusal(now, event.deadline)) wanted_ = true;
  return {};
}

std::vector<Link::Effect> Link::on(const Connected& event, MonotonicTime now) {
  state_ = State::Open;
  dialled_ = event.dialled;
  if (dialled_) dialling_ = false;
  wanted_ = false;
  since_ = opened_at_ = now;
  return {Wake{}};
}

std::vector<Link::Effect> Link::on(const Surplus&, MonotonicTime) {
  dialling_ = false;
  return {};
}

std::vector<Link::Effect> Link::on(const Failed& event, MonotonicTime now) {
  dialling_ = false;
  // The peer may have connected meanwhile.
  if (state_ != State::Dialling) return {};
  back_off(event.error, now);
  return {Wake{}};
}

std::vector<Link::Effect> Link::on(const Lost& event, MonotonicTime now) {
  if (state_ != State::Open) return {};
  const bool young = now - opened_at_ < options_.steady_min;
  if (dialled_ && !event.unused && (young || event.error.code == Errc::NotVerified)) {
    back_off(event.error, now);
  } else {
    state_ = dialling_ ? State::Dialling : State::Idle;
    if (dialled_) failures_in_row_ = 0;
  }
  return {Wake{}};
}

// A call that outlived its connection ends here too.
std::vector<Link::Effect> Link::on(const CallBegan&, MonotonicTime) {
  ++calls_;
  return {};
}

std::vector<Link::Effect> Link::on(const CallEnded&, MonotonicTime now) {
  BASE_ASSERT(calls_ > 0, "a call ends once");
  if (--calls_ > 0) return {};
  since_ = now;
  return {Wake{}};
}

std::vector<Link::Effect> Link::on(const Used&, MonotonicTime now) {
  since_ = now;
  return {};
}

std::vector<Link::Effect> Link::on(const Time&, MonotonicTime now) {
  if (now < next_timeout()) return {};
  if (state_ == State::Backoff) return dial();
  state_ = State::Idle;
  failures_in_row_ = 0;
  return {Close{"nothing was asked for a while"}};
}

// Twice as long each time, and a random half of that less: peers that lost the same node do not
// come back as one.
void Link::back_off(const base::Error& error, MonotonicTime now) {
  ++failures_;
  last_ = error;
  state_ = State::Backoff;
  wanted_ = false;
  if (error.code == Errc::NotVerified) {
    until_ = now + options_.distrust;
    return;
  }
  Duration delay = options_.backoff_min;
  for (unsigned i = 0; i < failures_in_row_ && delay < options_.backoff_max; ++i) delay *= 2;
  delay = std::min(delay, options_.backoff_max);
  ++failures_in_row_;
  const auto half = static_cast<std::uint64_t>(delay.count() / 2);
  until_ = now + delay - Duration(static_cast<std::int64_t>(rng_.below(half + 1)));
}

}  // namespace stoq::rpc
