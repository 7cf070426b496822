#pragma once

// What happens in one simulated life, drawn from its seed before it begins: a list that can be
// shortened (minimise.hpp), written down and run again.

#include <base/error.hpp>
#include <base/time.hpp>
#include <string>
#include <vector>

#include "consensus/types.hpp"

namespace sim {

using base::Duration;
using Nodes = std::uint64_t;  ///< One bit each.

enum class FaultKind : std::uint8_t {
  Crash,        ///< Down for `length`; what was not synced is lost, or some of it.
  CrashAtSend,  ///< The same behind its send of number `amount`.
  Cut,          ///< No messages between `nodes` and the others.
  CutOneWay,    ///< None from `nodes` to the others.
  Loss,         ///< `amount` of a thousand messages from `nodes` are lost,
  Duplication,  ///< come twice,
  SlowLinks,    ///< come up to 50 ms late.
  SlowDisk,     ///< `amount` of a thousand syncs take up to 1.7 s.
  DiskFull,     ///< After `amount` more bytes.
  BitRot,       ///< A bit of a durable record, chosen by `amount`, and then a crash.
  Lost,         ///< The node never comes back.
  DiskLost,     ///< It comes back after `length` with its key and an empty disk.
  StateLost,    ///< Its state is, while it runs or, if `amount` is odd, while it is down.
  Program,      ///< It is down for `length`, and runs the program of version `amount` then.
  // What an operator does, one after the other.
  Join,     ///< A new node learns, and votes; in the place of `nodes`, which goes if `amount` is 1.
  Leave,    ///< `nodes` votes no more, and goes if `amount` is 1.
  Unsafe,   ///< A change that must be refused, one of several by `amount`.
  Version,  ///< All are to go by the next version, when their programs can.
  Count,
};
std::string_view to_text(FaultKind kind);

struct Fault {
  FaultKind kind{};
  Duration at{}, length{};  ///< Whole microseconds.
  Nodes nodes = 0;
  std::uint64_t amount = 0;
  friend bool operator==(const Fault&, const Fault&) = default;
};

struct Plan {
  std::uint64_t seed = 0;  ///< Of everything that is not below: each delay, what clients do.
  std::size_t replicas = 4;
  unsigned delay_min = 50, delay_max = 2000;  ///< Of messages, microseconds.
  unsigned sync_min = 100, sync_max = 2000;   ///< Of disks, microseconds.
  unsigned skew_max = 0;                      ///< Of clocks, microseconds.
  unsigned clients = 3, pause_max = 200'000;  ///< Between a client's bundles, microseconds.
  hypermesh::consensus::Slot checkpoint_interval = 50;
  bool real_signatures = false;
  bool isolates = false;  ///< Proofs of lies are ordered: another epoch begins for each liar.
  Duration faults_until = std::chrono::seconds(20);  ///< Then all heals.
  std::vector<std::string> liars;  ///< What each of the first replicas does; empty: it is honest.
  std::vector<Fault> faults;

  friend bool operator==(const Plan&, const Plan&) = default;
};

/// Who will not vote as it should, or lacks what it should have, at some time.
Nodes spoilt(const Plan& plan);

Plan draw_plan(std::uint64_t seed);
/// Voters change while that happens: nodes join and leave, and are replaced.
void draw_changes(Plan& plan);
/// Programs of two versions run while that happens, and the later one may be ordered.
void draw_versions(Plan& plan);
/// The state of one node is lost, but not its log.
void draw_lost_states(Plan& plan);
/// As the seeds of `./dev sim` do: in a quarter of them voters change, in a quarter liars that are
/// proven are isolated, in a quarter programs are of two versions, in an eighth a state is lost.
Plan draw_life(std::uint64_t seed);
std::vector<std::string_view> all_lies();

/// A line for each fault, and one for all that is ordinary.
std::string to_text(const Plan& plan);
/// Errors: InvalidArgument (the line, what is wrong with it).
base::Result<Plan> parse_plan(std::string_view text);

}  // namespace sim
