#include "process/proc_text.hpp"

#include <array>
#include <charconv>

namespace nexus::process {

namespace {

std::string_view next_word(std::string_view& text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  const std::size_t end = std::min(text.find_first_of(" \t\n"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::optional<std::uint64_t> to_number(std::string_view word) {
  std::uint64_t value = 0;
  const auto [end, wrong] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (wrong != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return value;
}

}  // namespace

std::optional<ProcStat> parse_stat(std::string_view text) {
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return std::nullopt;
  text.remove_prefix(name_end + 1);
  // Fields 3 (state) to 22 (start).
  constexpr std::size_t kFirst = 3, kLast = 22;
  std::array<std::uint64_t, kLast + 1> fields{};
  for (std::size_t i = kFirst; i <= kLast; ++i) {
    const std::string_view word = next_word(text);
    if (word.empty()) return std::nullopt;
    fields[i] = to_number(word).value_or(0);  // The state, and -1 for no terminal, are no numbers.
  }
  return ProcStat{.parent = static_cast<std::int32_t>(fields[4]),
                  .own_ticks = fields[14] + fields[15],
                  .waited_ticks = fields[16] + fields[17],
                  .start_ticks = fields[22]};
}

std::uint64_t number_after(std::string_view text, std::string_view name) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.starts_with(name) || !line.substr(name.size()).starts_with(':')) continue;
    line.remove_prefix(name.size() + 1);
    return to_number(next_word(line)).value_or(0);
  }
  return 0;
}

bool has_mark(std::string_view environment, std::string_view mark, bool beginning) {
  while (!environment.empty()) {
    const std::size_t end = std::min(environment.find('\0'), environment.size());
    const std::string_view variable = environment.substr(0, end);
    if (beginning ? variable.starts_with(mark) : variable == mark) return true;
    environment.remove_prefix(std::min(end + 1, environment.size()));
  }
  return false;
}

std::set<std::int32_t> descendants(const std::map<std::int32_t, ProcStat>& stats,
                                   std::int32_t root) {
  std::multimap<std::int32_t, std::int32_t> children;
  for (const auto& [pid, stat] : stats) children.emplace(stat.parent, pid);
  std::set<std::int32_t> found;
  std::set<std::int32_t> next{root};
  while (!next.empty()) {
    const std::int32_t parent = next.extract(next.begin()).value();
    for (auto [at, end] = children.equal_range(parent); at != end; ++at) {
      if (at->second != root && found.insert(at->second).second) next.insert(at->second);
    }
  }
  return found;
}

}  // namespace nexus::process
