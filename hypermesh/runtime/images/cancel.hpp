#pragma once

#include <base/error.hpp>
#include <base/time.hpp>
#include <condition_variable>
#include <mutex>

namespace hypermesh {

/// Tells a blocking call in another thread that nobody waits for it any more. Shared by both sides.
class CancelToken {
 public:
  void cancel() {
    const std::lock_guard lock(mutex_);
    cancelled_ = true;
    changed_.notify_all();
  }
  bool cancelled() const {
    const std::lock_guard lock(mutex_);
    return cancelled_;
  }
  /// Sleeps for `time`, or until cancelled: true then.
  bool wait_for(base::Duration time) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [&] { return cancelled_; });
  }
  static base::Error error() {
    return base::make_error(base::Errc::Cancelled, "the pull was given up");
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  bool cancelled_ = false;  // Guarded by mutex_.
};

}  // namespace hypermesh
