#include "load_options.hpp"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace bench {

void add_load_options(CLI::App& app, LoadOptions& options) {
  app.add_option("--clients", options.clients, "Clients, each with a connection")
      ->check(CLI::Range(1u, kClientsMax))
      ->capture_default_str();
  app.add_option("--outstanding", options.outstanding, "Operations under way for each client")
      ->check(CLI::Range(1u, kOutstandingMax))
      ->capture_default_str();
  app.add_option("--seconds", options.seconds, "Measured, after the warm-up")
      ->check(CLI::Range(1u, kSecondsMax))
      ->capture_default_str();
  app.add_option("--warm-up", options.warm_up_seconds, "Seconds before it")
      ->check(CLI::Range(0u, kSecondsMax))
      ->capture_default_str();
  app.add_option("--operations", options.operations, "So many instead of --seconds, all measured")
      ->check(CLI::Range(std::uint64_t{1}, kOperationsMax));
  app.add_option("--keys", options.keys, "Of the key space")
      ->check(CLI::Range(std::uint64_t{1}, kKeysMax))
      ->capture_default_str();
  app.add_option("--seed", options.seed, "Of keys and values")->capture_default_str();
  auto* kind = app.add_option_group("kind", "What an operation is");
  kind->add_flag_callback("--writes", [&options] { options.reads = false; }, "A write");
  kind->add_flag("--reads", options.reads, "A linearizable read of a key that was filled");
  kind->add_flag("--fill", options.fill, "A write of every key once, in order");
  kind->require_option(1);
}

}  // namespace bench
