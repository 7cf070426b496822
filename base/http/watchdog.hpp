#pragma once

#include <base/async/byte_stream.hpp>
#include <base/time.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>

namespace base::http {

/// Closes a stream whose peer lets a limit pass, so that the read or write that waits for it fails.
/// One timer for a connection's life: arming costs nothing while the timer already runs early
/// enough.
class Watchdog {
 public:
  /// `stream` is borrowed until the watchdog is destroyed.
  Watchdog(const Executor& executor, ByteStream& stream);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  void arm(Duration limit);
  void disarm();
  bool expired() const;

 private:
  struct State;
  static void wait(const std::shared_ptr<State>& state);
  std::shared_ptr<State> state_;
};

}  // namespace base::http
