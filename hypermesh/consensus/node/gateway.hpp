#pragma once

#include <base/time.hpp>
#include <deque>
#include <functional>
#include <map>

#include "consensus/execution/executor.hpp"

namespace hypermesh::consensus {

inline constexpr std::size_t kCommandBytesMax = kBundleBytesMax - 256;

struct GatewayOptions {
  /// Of what waits while bundles are under way: as long as one takes to be executed, within these.
  base::Duration wait_min = std::chrono::milliseconds(1);
  base::Duration wait_max = std::chrono::milliseconds(20);
  std::size_t operations_at_once = 100;  ///< So many that wait are sent at once.
  std::size_t operations_max = 1000;     ///< Of one bundle.
  std::size_t bytes_max = 256 * 1024;    ///< Likewise; a larger operation goes alone.
  std::size_t bundles_max = 16;          ///< Under way at once; below kClientWindow.
  std::size_t waiting_bytes_max = 64 << 20;
  base::Duration resend = std::chrono::milliseconds(500);  ///< Of what is not executed yet.
};

/// Makes one client's bundles of many operations. Plain: time goes in, bundles come out.
class Gateway {
 public:
  /// Called once. Errors: those of an Outcome; NoQuorum (not ordered in time, and it will not take
  /// effect: it was not sent, or its deadline in ordered time has passed), TimedOut (not executed
  /// in time: outcome unknown), ResourceExhausted (too much waits, or more than kCommandBytesMax:
  /// nothing was done), Forbidden, Unavailable (the gateway ends).
  using Done = std::function<void(base::Result<std::uint64_t>)>;

  /// `first`: above every sequence number that this key used before; a clock's microseconds will
  /// do, and a clock that went back is found out.
  Gateway(const ClusterId& cluster, const base::SigningKey& key, std::uint64_t first,
          GatewayOptions options = {});

  /// `deadline` is when to answer at the latest. The command's own (deadline_of) should be a little
  /// before it, so that the answer can be certain.
  void submit(base::Bytes command, base::MonotonicTime now, base::MonotonicTime deadline,
              Done done);
  /// Answered when something that was ordered after this call is executed here, with a number of no
  /// meaning. All that wait share one operation, or need none beside others.
  void barrier(base::MonotonicTime now, base::MonotonicTime deadline, Done done);
  /// How many voters can be reached: with fewer than a quorum nothing new is sent.
  void reach(std::size_t voters, std::size_t quorum) {
    reached_ = voters;
    quorum_ = quorum;
  }
  struct Sent {
    BundlePtr bundle;
    bool again = false;  ///< It was sent before.
  };
  /// What to send to every voter now.
  std::vector<Sent> poll(base::MonotonicTime now);
  /// The next poll() sends everything that is under way once more.
  void send_again();
  /// When to poll again at the latest.
  base::MonotonicTime wake_at() const;
  /// A bundle of this client was executed.
  void on_executed(const BundleResult& result, base::MonotonicTime now);
  /// Everything that was ordered up to this time was told with on_executed.
  void on_time(std::uint64_t ordered) { ordered_time_ = ordered; }
  bool anything_waits() const { return !waiting_.empty() || !barriers_.empty(); }
  /// Bundles whose execution was not seen.
  std::vector<BundlePtr> under_way() const;
  /// Everything that waits is answered with `error`.
  void end(const base::Error& error);

  const base::PublicKey& client() const { return key_.public_key(); }

 private:
  struct Operation {
    base::Bytes command;
    base::MonotonicTime since{}, deadline{};
    Done done;  // Null once it was called.
    std::uint64_t ordered_deadline = 0;
  };
  struct UnderWay {
    BundlePtr bundle;
    std::vector<Operation> operations;  // Their commands are in the bundle.
    std::vector<Operation> barriers;
    base::MonotonicTime sent{}, resend_at{};
  };

  base::MonotonicTime due(base::MonotonicTime now) const;
  base::MonotonicTime waits_since() const;
  BundlePtr make_bundle(base::MonotonicTime now);
  bool held() const { return reached_ < quorum_; }
  bool may_send() const;
  void expire(base::MonotonicTime now);
  bool expire_operations(UnderWay& bundle, base::MonotonicTime now) const;

  const ClusterId cluster_;
  const base::SigningKey& key_;
  const GatewayOptions options_;
  std::uint64_t next_;
  std::deque<Operation> waiting_;
  std::size_t waiting_bytes_ = 0;
  base::MonotonicTime first_deadline_ = base::MonotonicTime::max();  // Of those, or earlier.
  std::vector<Operation> barriers_;                                  // For the next bundle.
  std::map<std::uint64_t, UnderWay> under_way_;
  std::uint64_t ordered_time_ = 0;
  std::size_t reached_ = 0, quorum_ = 0;
  base::Duration usual_{};  // That a bundle takes, smoothed.
  std::size_t last_ = 0;    // Operations and barriers of the last bundle.
};

}  // namespace hypermesh::consensus
