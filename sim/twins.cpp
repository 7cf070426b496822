#include "sim/twins.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "sim/lab.hpp"

namespace sim {

using namespace hypermesh::consensus;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kReplicas = 4, kSeats = 5, kTwin = 4;  // The twin has the last seat.
constexpr unsigned kRoundsMax = 6;
constexpr base::Duration kRound = 250ms;  // Who hears no primary for two gives it up by himself.
constexpr base::Duration kPatience = 60s;

using Groups = std::array<unsigned, kSeats>;

// Numbered by who is the first of each group, so that every division is there once.
Groups in_order(const Groups& groups) {
  Groups named{};
  std::map<unsigned, unsigned> names;
  for (std::size_t i = 0; i < kSeats; ++i)
    named[i] = names.emplace(groups[i], static_cast<unsigned>(names.size())).first->second;
  return named;
}

// The 52 divisions of five, in the order of their numbers.
const std::vector<Groups>& divisions() {
  static const auto all = [] {
    std::vector<Groups> made;
    for (unsigned code = 0; code < 3125; ++code) {
      Groups groups{};
      for (unsigned i = 0, rest = code; i < kSeats; ++i, rest /= 5)
        groups[kSeats - 1 - i] = rest % 5;
      if (in_order(groups) == groups) made.push_back(groups);
    }
    return made;
  }();
  return all;
}

struct Round {
  Groups groups{};
  bool give_up = false, commits_lost = false;
};
std::uint64_t choices() {
  return 4 * divisions().size();
}

}  // namespace

struct Twins::Scenario {
  std::size_t twinned = 0;
  std::vector<Round> rounds;
};

Twins::Twins(unsigned rounds) : rounds_(std::clamp(rounds, 1U, kRoundsMax)), total_(kReplicas) {
  for (unsigned i = 0; i < rounds_; ++i) total_ *= choices();
  // About the golden section of the whole; has no factor in common with 4 * 208^rounds.
  stride_ = total_ / 1000 * 618 | 1;
  while (stride_ % 13 == 0) stride_ += 2;
}

std::uint64_t Twins::number_at(std::uint64_t place) const {
  return static_cast<std::uint64_t>(static_cast<unsigned __int128>(place % total_) * stride_ %
                                    total_);
}

Twins::Scenario Twins::scenario(std::uint64_t number) const {
  Scenario made;
  for (unsigned i = 0; i < rounds_; ++i) {
    made.rounds.push_back({divisions()[number % choices() / 4], number % 4 >= 2, number % 2 == 1});
    number /= choices();
  }
  std::ranges::reverse(made.rounds);
  made.twinned = number % kReplicas;
  return made;
}

bool Twins::repeats_another(std::uint64_t number) const {
  const Scenario given = scenario(number);
  for (const Round& round : given.rounds) {
    Groups exchanged = round.groups;
    std::swap(exchanged[given.twinned], exchanged[kTwin]);
    exchanged = in_order(exchanged);
    if (exchanged != round.groups) return exchanged < round.groups;
  }
  return false;
}

std::string Twins::describe(std::uint64_t number) const {
  const Scenario given = scenario(number);
  std::string text = fmt::format("{} has a twin (4):", given.twinned);
  for (const Round& round : given.rounds) {
    text += round.give_up ? " all give up," : "";
    text += round.commits_lost ? " no commits," : "";
    for (unsigned group = 0; group < kSeats; ++group) {
      for (std::size_t seat = 0, first = 1; seat < kSeats; ++seat) {
        if (round.groups[seat] != group) continue;
        text += fmt::format("{}{}", first == 1 ? " " : "", seat);
        first = 0;
      }
    }
    text += ';';
  }
  return text;
}

namespace {

// Watches what arrives: certificates that honest instances show, and contradictions of the twins
// that one instance hears while it could do something about them.
class Watch {
 public:
  Watch(const Cluster& cluster, Lab& lab, ReplicaId twinned)
      : cluster_(cluster), lab_(lab), twinned_(twinned) {}

  void arrives(std::size_t from, std::size_t to, const Message& message) {
    if (lab_[from].id != twinned_) check_certificates(message);
    if (lab_[to].id == twinned_) return;
    if (const auto* vote = std::get_if<Vote>(&message); vote != nullptr) {
      if (vote->replica == twinned_ && lab_[from].id == twinned_) hear(to, vote->statement);
    } else if (const auto* proposal = std::get_if<Proposal>(&message)) {
      if (lab_[from].id == twinned_) {
        hear(to, {Phase::Prepare, proposal->epoch, proposal->view, proposal->link->block.slot,
                  proposal->link->digest});
      }
    }
  }
  /// Honest instances that must have proved the lie.
  const std::set<std::size_t>& witnesses() const { return witnesses_; }
  const std::string& failure() const { return failure_; }

 private:
  void hear(std::size_t seat, const Statement& said) {
    const pbft::Replica& replica = lab_.replica(seat);
    if (said.view != replica.view() || replica.changing() || said.slot <= replica.committed() ||
        (said.phase != Phase::Prepare && said.phase != Phase::Commit))
      return;
    const auto known =
        heard_.emplace(std::tuple(seat, said.view, said.slot, said.phase), said.digest).first;
    if (known->second != said.digest) witnesses_.insert(seat);
  }
  void check(const Certificate& certificate) {
    bool sound = check_signers(cluster_.voters(), certificate).has_value();
    const auto bytes = signed_bytes(cluster_.id(), certificate.statement);
    for (const auto& [replica, signature] : certificate.signatures)
      sound = sound && cluster_.good({cluster_.voters().keys[replica], bytes, signature});
    if (!sound) failure_ = "an honest replica shows a certificate that is none";
  }
  void check_certificates(const Message& message) {
    if (const auto* committed = std::get_if<Committed>(&message)) check(committed->certificate);
    if (const auto* wish = std::get_if<ViewChange>(&message); wish != nullptr && wish->proof)
      check(*wish->proof);
    if (const auto* begun = std::get_if<NewView>(&message); begun != nullptr && begun->proof)
      check(*begun->proof);
  }

  const Cluster& cluster_;
  Lab& lab_;
  const ReplicaId twinned_;
  std::map<std::tuple<std::size_t, View, Slot, Phase>, base::Digest> heard_;
  std::set<std::size_t> witnesses_;
  std::string failure_;
};

const Cluster& shared_cluster() {
  static const auto cluster = [] {
    auto made = std::make_unique<Cluster>(kReplicas);
    made->options.suspicion_max = 600ms;
    return made;
  }();
  return *cluster;
}

}  // namespace

Twins::Outcome Twins::run(std::uint64_t number) const {
  const Scenario given = scenario(number);
  const Cluster& cluster = shared_cluster();
  const auto twinned = static_cast<ReplicaId>(given.twinned);
  Lab lab(cluster, {0, 1, 2, 3, twinned});
  Watch watch(cluster, lab, twinned);
  bool commits_lost = false;
  lab.lost = [&](std::size_t from, std::size_t to, const Message& message) {
    const auto* vote = std::get_if<Vote>(&message);
    if (commits_lost && vote != nullptr && vote->statement.phase == Phase::Commit) return true;
    watch.arrives(from, to, message);
    return false;
  };
  std::vector<std::size_t> all(kSeats), honest;
  for (std::size_t seat = 0; seat < kSeats; ++seat) {
    all[seat] = seat;
    if (lab[seat].id != twinned) honest.push_back(seat);
  }

  std::uint64_t bundle = 0;
  for (const Round& round : given.rounds) {
    lab.separate({round.groups.begin(), round.groups.end()});
    commits_lost = round.commits_lost;
    if (round.give_up) lab.give_up(all);
    lab.submit(cluster.bundle(++bundle));
    lab.pass(kRound);
  }
  commits_lost = false;
  lab.heal();
  lab.submit(cluster.bundle(++bundle));
  // One may be left who wants a later view than the others need; he executes what they order.
  const auto all_is_done = [&] {
    View begun = 0;
    for (const std::size_t seat : honest) {
      if (!lab.replica(seat).changing()) begun = std::max(begun, lab.replica(seat).view());
    }
    return std::ranges::all_of(honest, [&](std::size_t seat) {
      const pbft::Replica& replica = lab.replica(seat);
      return replica.pool().size() == 0 && !lab[seat].executed.empty() &&
             lab[seat].executed.size() == lab[honest[0]].executed.size() &&
             (replica.changing() ? replica.view() > begun : replica.view() == begun);
    });
  };
  const MonotonicTime end = lab.now() + kPatience;
  while (lab.now() < end && !all_is_done()) lab.pass(50ms);

  Outcome outcome{lab.failure(honest), lab.steps(), 0, false};
  for (const std::size_t seat : honest) {
    outcome.views = std::max(outcome.views, lab.replica(seat).view());
    outcome.proven = outcome.proven || !lab[seat].evidence.empty();
  }
  if (!outcome.failure.empty()) return outcome;
  outcome.failure = watch.failure();
  if (!all_is_done()) {
    outcome.failure = fmt::format(
        "not all have executed all and are in the last view, {} s after all heard each other",
        kPatience.count() / 1'000'000'000);
  }
  for (const std::size_t seat : watch.witnesses()) {
    if (lab[seat].evidence.empty()) {
      outcome.failure =
          fmt::format("{} heard {} contradict itself and has no evidence", seat, twinned);
    }
  }
  return outcome;
}

}  // namespace sim
