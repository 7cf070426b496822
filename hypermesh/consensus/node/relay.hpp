#pragma once

#include <base/time.hpp>
#include <deque>
#include <functional>
#include <map>

#include "consensus/execution/executor.hpp"

namespace hypermesh::consensus {

/// Bundles that clients signed themselves, on their way through a node. Messages may be lost, and a
/// voter of the next epoch takes none before that begins: what is not executed is sent again.
/// Plain: time goes in, bundles come out.
class Relay {
 public:
  /// Called once. Errors: TimedOut (it may or may not take effect), that of end().
  using Done = std::function<void(base::Result<BundleResult>)>;

  explicit Relay(base::Duration resend) : resend_(resend) {}

  /// Whether to send it to every voter now; else it was, or is answered already.
  bool add(const BundlePtr& bundle, base::MonotonicTime now, base::MonotonicTime deadline,
           Done done);
  struct Again {
    BundlePtr bundle;
    bool first = false;  ///< For the first time; it may have been executed before it came.
    friend bool operator==(const Again&, const Again&) = default;
  };
  /// What to send to every voter once more. Answers those whose time has passed.
  std::vector<Again> poll(base::MonotonicTime now);
  /// The next poll() gives everything.
  void send_again();
  /// When to poll again at the latest.
  base::MonotonicTime wake_at() const;

  /// `remember`: somebody may ask later than others what became of it.
  void on_executed(const BundleResult& result, const base::Digest& bundle, bool remember);
  std::vector<BundlePtr> under_way() const;
  /// Everything that waits is answered with `error`.
  void end(const base::Error& error);

 private:
  struct Waiter {
    base::MonotonicTime deadline{};
    Done done;
  };
  struct UnderWay {
    BundlePtr bundle;
    base::MonotonicTime resend_at{};
    std::vector<Waiter> waiters;
    bool again = false;
  };

  const base::Duration resend_;
  base::MonotonicTime look_at_ = base::MonotonicTime::min();
  std::map<base::Digest, UnderWay> under_way_;
  std::map<base::Digest, BundleResult> recent_;
  std::deque<base::Digest> recent_order_;
};

}  // namespace hypermesh::consensus
