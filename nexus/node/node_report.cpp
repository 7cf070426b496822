#include "node/node_report.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

namespace nexus {

using State = api::DoctorCheck::State;

namespace {

constexpr std::uintmax_t kGiB = 1ull << 30;
constexpr std::uintmax_t kDiskLow = 2 * kGiB, kDiskOut = kGiB / 4;

}  // namespace

std::vector<api::ConfigItem> config_items(const base::config::Effective& effective) {
  std::vector<api::ConfigItem> items;
  for (const auto& [path, entry] : effective.entries()) {
    std::string effect;
    if (!entry.key->unbuilt.empty()) {
      effect = fmt::format("no effect: this build has no {}", entry.key->unbuilt);
    }
    items.push_back({.layer = entry.layer->name,
                     .key = path,
                     .value = base::config::to_json(entry),
                     .origin = entry.origin.describe(),
                     .effect = std::move(effect)});
  }
  return items;
}

api::DoctorCheck check_configuration(const base::config::Effective& effective) {
  const std::vector<std::string> idle = effective.without_effect();
  if (idle.empty()) return {State::Ok, "configuration", "every setting has its effect", {}};
  return {State::Warning, "configuration",
          fmt::format("set, but without effect in this build: {}", fmt::join(idle, ", ")),
          "hm config show --effective"};
}

api::DoctorCheck check_disk(const std::filesystem::path& state) {
  std::error_code failed;
  const auto space = std::filesystem::space(state, failed);
  if (failed) {
    return {State::Failed, "state", fmt::format("{}: {}", state.string(), failed.message()), {}};
  }
  const std::string room = fmt::format("{:.1f} GiB free for state and images in {}",
                                       static_cast<double>(space.available) / kGiB, state.string());
  if (space.available < kDiskOut) return {State::Failed, "state", room, "hm image gc"};
  if (space.available < kDiskLow) return {State::Warning, "state", room, "hm image gc"};
  return {State::Ok, "state", room, {}};
}

}  // namespace nexus
