#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "sim/plan.hpp"

// Plans as text: a name and its value on each line.

namespace sim {

using base::Errc;
using base::Result;

namespace {

std::uint64_t micros(Duration time) {
  return static_cast<std::uint64_t>(time.count() / 1000);
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const auto end = std::min(line.find(' '), line.size());
    if (end > 0) words.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return words;
}

std::unexpected<base::Error> unreadable(std::string_view line, std::string_view why) {
  return base::fail(Errc::InvalidArgument, fmt::format("\"{}\": {}", line, why));
}

Result<std::uint64_t> number(std::string_view word) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size())
    return base::fail(Errc::InvalidArgument, fmt::format("{} is not a number", word));
  return value;
}

// "fault KIND at T for T nodes BITS amount N"
Result<Fault> parse_fault(std::string_view line, const std::vector<std::string_view>& words) {
  if (words.size() != 10 || words[2] != "at" || words[4] != "for" || words[6] != "nodes" ||
      words[8] != "amount")
    return unreadable(line,
                      "wanted: fault KIND at MICROSECONDS for MICROSECONDS nodes BITS amount N");
  Fault fault;
  while (fault.kind != FaultKind::Count && to_text(fault.kind) != words[1])
    fault.kind = static_cast<FaultKind>(static_cast<int>(fault.kind) + 1);
  if (fault.kind == FaultKind::Count) return unreadable(line, "no such kind of fault");
  TRY(const auto at, number(words[3]));
  TRY(const auto length, number(words[5]));
  fault.at = std::chrono::microseconds(at);
  fault.length = std::chrono::microseconds(length);
  TRY(fault.nodes, number(words[7]));
  TRY(fault.amount, number(words[9]));
  return fault;
}

Result<> set(Plan& plan, std::string_view line, std::string_view name, std::uint64_t value) {
  const auto small = static_cast<unsigned>(value);
  if (name == "seed") {
    plan.seed = value;
  } else if (name == "replicas") {
    if (value < 1 || value > 64) return unreadable(line, "1 to 64 replicas");
    plan.replicas = value;
  } else if (name == "delay_min") {
    plan.delay_min = small;
  } else if (name == "delay_max") {
    plan.delay_max = small;
  } else if (name == "sync_min") {
    plan.sync_min = small;
  } else if (name == "sync_max") {
    plan.sync_max = small;
  } else if (name == "skew_max") {
    plan.skew_max = small;
  } else if (name == "clients") {
    plan.clients = small;
  } else if (name == "pause_max") {
    plan.pause_max = std::max(small, 1u);
  } else if (name == "checkpoint_interval") {
    plan.checkpoint_interval = std::max<std::uint64_t>(value, 1);
  } else if (name == "real_signatures") {
    plan.real_signatures = value != 0;
  } else if (name == "isolates") {
    plan.isolates = value != 0;
  } else if (name == "faults_until") {
    plan.faults_until = std::chrono::microseconds(value);
  } else {
    return unreadable(line, "an unknown name");
  }
  return {};
}

}  // namespace

std::string_view to_text(FaultKind kind) {
  constexpr std::string_view kNames[] = {
      "crash",      "crash_at_send", "cut",       "cut_one_way", "loss",   "duplication",
      "slow_links", "slow_disk",     "disk_full", "bit_rot",     "lost",   "disk_lost",
      "state_lost", "program",       "join",      "leave",       "unsafe", "version"};
  static_assert(std::size(kNames) == static_cast<std::size_t>(FaultKind::Count));
  return kNames[static_cast<std::size_t>(kind)];
}

std::string to_text(const Plan& plan) {
  std::string text = "# times in microseconds; nodes: one bit each\n";
  const auto line = [&](std::string_view name, std::uint64_t value) {
    text += fmt::format("{} {}\n", name, value);
  };
  line("seed", plan.seed);
  line("replicas", plan.replicas);
  line("delay_min", plan.delay_min);
  line("delay_max", plan.delay_max);
  line("sync_min", plan.sync_min);
  line("sync_max", plan.sync_max);
  line("skew_max", plan.skew_max);
  line("clients", plan.clients);
  line("pause_max", plan.pause_max);
  line("checkpoint_interval", plan.checkpoint_interval);
  line("real_signatures", plan.real_signatures ? 1 : 0);
  line("isolates", plan.isolates ? 1 : 0);
  line("faults_until", micros(plan.faults_until));
  for (std::size_t i = 0; i < plan.liars.size(); ++i) {
    if (!plan.liars[i].empty()) text += fmt::format("liar {} {}\n", i, plan.liars[i]);
  }
  for (const Fault& fault : plan.faults) {
    text += fmt::format("fault {} at {} for {} nodes {} amount {}\n", to_text(fault.kind),
                        micros(fault.at), micros(fault.length), fault.nodes, fault.amount);
  }
  return text;
}

Result<Plan> parse_plan(std::string_view text) {
  Plan plan;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto words = words_of(line);
    if (words.empty() || words[0].starts_with('#')) continue;
    if (words[0] == "fault") {
      TRY(const auto fault, parse_fault(line, words));
      plan.faults.push_back(fault);
      continue;
    }
    if (words.size() < 2) return unreadable(line, "a name without its value");
    TRY(const auto value, number(words[1]));
    if (words[0] != "liar") {
      TRY_DO(set(plan, line, words[0], value));
      continue;
    }
    const auto lies = all_lies();
    const auto lie = words.size() < 3
                         ? ""
                         : line.substr(static_cast<std::size_t>(words[2].data() - line.data()));
    if (value >= plan.replicas || std::ranges::find(lies, lie) == lies.end())
      return unreadable(line, "no such replica or lie");
    plan.liars.resize(std::max<std::size_t>(plan.liars.size(), value + 1));
    plan.liars[value] = lie;
  }
  return plan;
}

}  // namespace sim
