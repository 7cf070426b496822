#include <fmt/format.h>

#include <algorithm>
#include <base/config/effective.hpp>
#include <nlohmann/json.hpp>

namespace base::config {

std::string to_line(const Problem& problem) {
  const std::string_view severity =
      problem.severity == Problem::Severity::Error ? "error" : "warning";
  return fmt::format("{}  {}  {}  {}", problem.origin.describe(), problem.key, problem.message,
                     severity);
}

const Effective::Entry& Effective::at(std::string_view path) const {
  const auto found = index_.find(path);
  BASE_ASSERT(found != index_.end(), path);
  return entries_[found->second].second;
}

Endpoint Effective::endpoint(std::string_view path) const {
  auto parsed = parse_endpoint(text(path));
  BASE_ASSERT(parsed.has_value(), "endpoints were checked when they were loaded");
  return *parsed;
}

std::vector<std::string> Effective::without_effect() const {
  std::vector<std::string> keys;
  for (const auto& [path, entry] : entries_) {
    if (entry.given() && !entry.key->unbuilt.empty())
      keys.push_back(fmt::format("{} ({})", path, entry.key->unbuilt));
  }
  return keys;
}

namespace {

nlohmann::json shown(const Effective::Entry& entry) {
  if (entry.key->kind == KeyKind::Duration) {
    const std::int64_t nanos = std::get<std::int64_t>(entry.setting);
    constexpr std::int64_t kSecond = 1'000'000'000;
    if (nanos % kSecond == 0) return nanos / kSecond;
    return static_cast<double>(nanos) / kSecond;
  }
  return std::visit([](const auto& value) -> nlohmann::json { return value; }, entry.setting);
}

}  // namespace

std::string to_json(const Effective::Entry& entry) {
  return shown(entry).dump();
}

std::string Effective::to_json(bool origins) const {
  nlohmann::json root = nlohmann::json::object();
  for (const auto& [path, entry] : entries_) {
    const std::string& layer = entry.layer->name;
    if (!shown_layers_.empty() && std::ranges::find(shown_layers_, layer) == shown_layers_.end())
      continue;
    nlohmann::json* place = &root;
    if (layered_ && !layer.empty()) place = &(*place)[layer];
    if (entry.section) place = &(*place)[entry.section->name];
    nlohmann::json value = shown(entry);
    if (origins) value = {{"value", std::move(value)}, {"origin", entry.origin.describe()}};
    (*place)[entry.key->name] = std::move(value);
  }
  return root.dump(2);
}

bool Loaded::ok() const {
  return std::ranges::none_of(
      problems, [](const Problem& p) { return p.severity == Problem::Severity::Error; });
}

Result<> require_valid(const Loaded& loaded) {
  std::string lines;
  for (const Problem& problem : loaded.problems) {
    if (problem.severity == Problem::Severity::Error) lines += "\n  " + to_line(problem);
  }
  if (lines.empty()) return {};
  return std::unexpected(
      with_hint(make_error(Errc::InvalidArgument, "invalid configuration:" + lines),
                "hm config check FILE tells whether it is right before a restart"));
}

}  // namespace base::config
