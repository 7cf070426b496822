#pragma once

#include <atomic>
#include <base/error.hpp>

namespace stoq::rpc {

/// What the calls of one connection hold in memory: requests that are not whole or are being
/// served, and replies that the caller has not taken. Several connections share `all`.
class CallBytes {
 public:
  CallBytes(std::atomic<std::size_t>& all, std::size_t all_max, std::size_t connection_max)
      : all_(all), all_max_(all_max), connection_max_(connection_max) {}

  /// Errors: ResourceExhausted; nothing is held then.
  base::Result<> hold(std::size_t bytes);
  void let_go(std::size_t bytes);
  std::size_t held() const { return held_; }

  /// Bytes that are held while it lives.
  class Held {
   public:
    /// `of` may be null: nobody counts.
    explicit Held(CallBytes* of) : of_(of) {}
    ~Held() { (void)resize(0); }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    base::Result<> resize(std::size_t bytes);

   private:
    CallBytes* of_;
    std::size_t bytes_ = 0;
  };

 private:
  std::atomic<std::size_t>& all_;
  std::size_t all_max_, connection_max_;
  std::size_t held_ = 0;
};

}  // namespace stoq::rpc
