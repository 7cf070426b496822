#pragma once

#include <base/time.hpp>

namespace base {

/// A clock that a test moves.
class ManualClock final : public Clock {
 public:
  MonotonicTime now() const override { return now_; }
  WallTime wall() const override { return wall_; }

  void set(MonotonicTime now, WallTime wall) {
    now_ = now;
    wall_ = wall;
  }
  /// Both hands.
  void advance(Duration by) {
    now_ += by;
    wall_ += by;
  }
  void advance_to(MonotonicTime at) { advance(at - now_); }
  /// As an administrator or a time server would: only what people read.
  void jump(Duration by) { wall_ += by; }

 private:
  MonotonicTime now_{};
  WallTime wall_{};
};

}  // namespace base
