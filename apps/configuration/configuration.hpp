#pragma once

#include <base/config/effective.hpp>
#include <string>
#include <vector>

namespace apps {

/// The layers a program of ours understands, from the lowest.
const std::vector<base::config::Layer>& all_layers();

/// The process's environment, as far as it can hold overrides.
base::config::Environment process_environment();

/// Reads and merges `files`, in order. A file that cannot be read or parsed is an error; problems
/// of content are in the answer, all of them.
base::Result<base::config::Loaded> load_configuration(const std::vector<std::string>& files,
                                                      const base::config::Environment& environment);

/// The configuration files of a folder that exist, lowest layer first: stoq.yaml, nexus.toml ...
std::vector<std::string> configuration_files(const std::string& folder);

}  // namespace apps
