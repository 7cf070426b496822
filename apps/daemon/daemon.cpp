#include "daemon/daemon.hpp"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <base/error_mapping.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>

#include "configuration/configuration.hpp"

namespace apps {
namespace {

constexpr std::string_view kUsage = R"(usage: {0} [--home DIR] [--config FILE]...

  --home DIR      folder with stoq.yaml, nexus.yaml, hypermesh.yaml (or .toml); default /etc/hypermesh
  --config FILE   read this file instead; may be given several times, later ones win
  --check         check the configuration and stop: exit 0, or 10 with every problem
  --version       print the version
)";

int tell(const std::string& name, const base::Error& error) {
  fmt::print(stderr, "{}: {}\n", name, error.describe());
  for (const std::string& hint : error.hints) fmt::print(stderr, "try   {}\n", hint);
  return base::exit_code(error.code);
}

base::Task<> signal_arrives(boost::asio::signal_set& signals) {
  co_await signals.async_wait(base::use_result);
}

}  // namespace

std::set<std::string> hidden_figures(const base::config::Effective& config) {
  std::set<std::string> hidden;
  for (const std::string layer : {"stoq", "nexus", "hypermesh"}) {
    const auto& entry = config.at("metrics." + layer);
    for (const auto& figure : entry.key->choices) hidden.insert(layer + "_" + figure.name);
    for (const std::string& shown : config.list("metrics." + layer))
      hidden.erase(layer + "_" + shown);
  }
  return hidden;
}

int run_daemon(int argc, char** argv, std::string name,
               std::function<base::Task<base::Result<>>(DaemonContext, base::Task<>)> body) {
  DaemonOptions options;
  bool check_only = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument(argv[i]);
    const bool has_value = i + 1 < argc;
    if (argument == "--home" && has_value) {
      options.home = argv[++i];
      options.home_given = true;
    } else if (argument == "--config" && has_value) {
      options.files.emplace_back(argv[++i]);
    } else if (argument == "--check") {
      check_only = true;
    } else if (argument == "--version") {
      fmt::print("{} {}\n", name, HYPERMESH_VERSION);
      return 0;
    } else if (argument == "--help" || argument == "-h") {
      fmt::print(kUsage, name);
      return 0;
    } else {
      fmt::print(stderr, "{}: \"{}\" is not an option of this program\n", name, argument);
      fmt::print(stderr, kUsage, name);
      return 2;
    }
  }
  // Threads share one arena: each of its own would cost more memory than waiting for a lock costs
  // time.
  mallopt(M_ARENA_MAX, 2);
  std::signal(SIGPIPE, SIG_IGN);

  const auto files = options.files.empty() ? configuration_files(options.home) : options.files;
  auto loaded = load_configuration(files, process_environment());
  if (!loaded) return tell(name, loaded.error());
  if (auto valid = base::config::require_valid(*loaded); !valid) {
    tell(name, valid.error());
    return check_only ? 10 : base::exit_code(valid.error().code);
  }
  if (check_only) return 0;

  const auto& config = loaded->effective;
  const auto format = config.text("logging.format") == "json" ? base::LogSink::Format::Json
                                                              : base::LogSink::Format::Human;
  base::LogSink sink(STDERR_FILENO, format);
  if (auto levels = sink.set_levels(config.text("logging.level")); !levels)
    return tell(name, levels.error());
  const base::Log log(sink, name);
  for (const std::string& key : config.without_effect()) {
    log.warning("configured, but without effect in this build", {{"key", key}});
  }

  boost::asio::io_context context(1);
  boost::asio::signal_set signals(context, SIGTERM, SIGINT);
  int code = 0;
  DaemonContext start{options, config, context.get_executor(), &sink, log};
  boost::asio::co_spawn(context, body(std::move(start), signal_arrives(signals)),
                        [&](std::exception_ptr thrown, base::Result<> result) {
                          if (thrown) std::rethrow_exception(thrown);
                          if (!result) code = tell(name, result.error());
                          signals.cancel();
                        });
  context.run();
  log.info("stopped");
  return code;
}

}  // namespace apps
