#pragma once

// What the three daemons have in common: their command line, configuration, log, signals and end.

#include <base/async/task.hpp>
#include <base/config/effective.hpp>
#include <base/log.hpp>
#include <functional>
#include <set>
#include <string>
#include <vector>

namespace apps {

struct DaemonOptions {
  std::string home = "/etc/hypermesh";  ///< Folder of the configuration files.
  std::vector<std::string> files;       ///< Named ones are read instead of the folder's.
  bool home_given = false;
};

/// What a daemon's body gets: everything is ready, nothing is started.
struct DaemonContext {
  DaemonOptions options;
  base::config::Effective config;
  base::Executor executor;
  base::LogSink* sink = nullptr;
  base::Log log;
};

/// What metrics.stoq and its like leave out of the figures they could name, by the metrics' names.
std::set<std::string> hidden_figures(const base::config::Effective& config);

/// Reads the command line and the configuration, then runs `body` until it ends or SIGTERM or
/// SIGINT cancels what `body` awaits last. Answers the process's exit code.
///
/// `body` starts its parts, awaits `stopped`, and takes its parts down again.
int run_daemon(
    int argc, char** argv, std::string name,
    std::function<base::Task<base::Result<>>(DaemonContext context, base::Task<> stopped)> body);

}  // namespace apps
