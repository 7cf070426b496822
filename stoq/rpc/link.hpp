#pragma once

#include <base/error.hpp>
#include <base/random.hpp>
#include <base/time.hpp>
#include <optional>
#include <variant>
#include <vector>

namespace stoq::rpc {

/// When the connection to a peer is made, how long it is kept, and how long nobody tries after a
/// failure. One lane of one peer.
///
/// Pure: the same events at the same times give the same effects, with randomness of its own seed.
/// Whoever owns it calls step(Time{}) at next_timeout().
class Link {
 public:
  struct Options {
    /// Without a call, before it is closed: sooner than the transport gives it up without a word.
    base::Duration idle_max = std::chrono::seconds(20);
    base::Duration backoff_min = std::chrono::milliseconds(100);
    base::Duration backoff_max = std::chrono::seconds(30);
    /// After the peer did not prove who it is: that does not mend by itself soon.
    base::Duration distrust = std::chrono::seconds(30);
    /// A connection that ends earlier counts as a failure.
    base::Duration steady_min = std::chrono::seconds(5);
  };

  // Events.
  struct Wanted {  ///< By a call, until `deadline`.
    base::MonotonicTime deadline;
  };
  struct Connected {
    bool dialled = true;  ///< By us; else by the peer, who then decides when it is idle.
  };
  struct Surplus {};  ///< We dialled, but another connection is the one to use.
  struct Failed {
    base::Error error;
  };
  struct Lost {
    base::Error error;
    bool unused = false;  ///< The peer closed it because nothing went on there.
  };
  struct CallBegan {};
  struct CallEnded {};
  struct Used {};  ///< By a call of the peer.
  struct Time {};
  using Event =
      std::variant<Wanted, Connected, Surplus, Failed, Lost, CallBegan, CallEnded, Used, Time>;

  // Effects.
  struct Dial {};
  struct Close {
    std::string reason;
  };
  struct Wake {};  ///< Whoever waits looks again.
  using Effect = std::variant<Dial, Close, Wake>;

  enum class State : std::uint8_t { Idle, Dialling, Open, Backoff };

  Link(Options options, std::uint64_t seed) : options_(options), rng_(seed) {}

  std::vector<Effect> step(const Event& event, base::MonotonicTime now);
  base::MonotonicTime next_timeout() const;

  State state() const { return state_; }
  /// Also while a connection of the peer serves meanwhile.
  bool dialling() const { return dialling_; }
  std::size_t calls() const { return calls_; }
  /// Attempts that failed so far: a call that waits goes on only while this stays the same.
  std::uint64_t failures() const { return failures_; }
  /// Why a call that came at `now` and ends at `deadline` cannot be served; empty: it can wait, or
  /// begin where the state is Open.
  std::optional<base::Error> refusal(base::MonotonicTime now, base::MonotonicTime deadline) const;
  /// The last failure, with when the next attempt is made.
  base::Error failure(base::MonotonicTime now) const;

 private:
  std::vector<Effect> on(const Wanted& event, base::MonotonicTime now);
  std::vector<Effect> on(const Connected& event, base::MonotonicTime now);
  std::vector<Effect> on(const Surplus& event, base::MonotonicTime now);
  std::vector<Effect> on(const Failed& event, base::MonotonicTime now);
  std::vector<Effect> on(const Lost& event, base::MonotonicTime now);
  std::vector<Effect> on(const CallBegan& event, base::MonotonicTime now);
  std::vector<Effect> on(const CallEnded& event, base::MonotonicTime now);
  std::vector<Effect> on(const Used& event, base::MonotonicTime now);
  std::vector<Effect> on(const Time& event, base::MonotonicTime now);
  std::vector<Effect> dial();
  void back_off(const base::Error& error, base::MonotonicTime now);

  Options options_;
  base::SeededRng rng_;
  State state_ = State::Idle;
  bool dialling_ = false;  // An attempt is under way.
  bool dialled_ = false;   // The connection is of our making.
  std::size_t calls_ = 0;
  std::uint64_t failures_ = 0;
  unsigned failures_in_row_ = 0;
  bool wanted_ = false;          // While backing off: dial when it is over.
  base::MonotonicTime since_{};  // Of the state Open; of idleness, when no call is left.
  base::MonotonicTime opened_at_{};
  base::MonotonicTime until_{};  // Of backing off.
  std::optional<base::Error> last_;
};

}  // namespace stoq::rpc
