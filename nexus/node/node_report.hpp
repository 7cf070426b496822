#pragma once

// What a node tells people about itself: its configuration and the checks of `hm doctor`.

#include <base/config/effective.hpp>
#include <filesystem>
#include <vector>

#include "api/backend.hpp"

namespace nexus {

std::vector<api::ConfigItem> config_items(const base::config::Effective& effective);

/// Keys that were set and have no effect.
api::DoctorCheck check_configuration(const base::config::Effective& effective);
/// Room where the state is kept. Blocks on the disk.
api::DoctorCheck check_disk(const std::filesystem::path& state);

}  // namespace nexus
