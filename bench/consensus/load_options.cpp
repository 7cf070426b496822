#include "load_options.hpp"

#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

namespace bench {

namespace {

using Seconds = std::chrono::duration<double>;

void add_seconds(CLI::App& app, const char* name, base::Duration& duration, base::Duration min,
                 const char* words) {
  app.add_option_function<double>(
         name,
         [&duration](double seconds) {
           duration = std::chrono::duration_cast<base::Duration>(Seconds(seconds));
         },
         words)
      ->check(CLI::Range(Seconds(min).count(), Seconds(kMeasuredMax).count()))
      ->default_str(fmt::format("{}", Seconds(duration).count()));
}

}  // namespace

void add_load_options(CLI::App& app, LoadOptions& options) {
  app.add_option("--clients", options.clients, "Clients, each with a connection")
      ->check(CLI::Range(1u, kClientsMax))
      ->capture_default_str();
  app.add_option("--outstanding", options.outstanding, "Operations under way for each client")
      ->check(CLI::Range(1u, kOutstandingMax))
      ->capture_default_str();
  add_seconds(app, "--seconds", options.measured, kMeasuredMin, "Measured, after the warm-up");
  add_seconds(app, "--warm-up", options.warm_up, base::Duration{0}, "Seconds before it");
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
