#pragma once

// The command line that every load program has in common:
//
//   --clients C --outstanding O (--writes | --reads | --fill) [--seconds S [--warm-up S]]
//   [--operations N] [--keys N] [--seed N]

#include <CLI/App.hpp>

#include "load.hpp"

namespace bench {

/// `options` is borrowed and outlives the parsing. What is out of its limits is refused there.
void add_load_options(CLI::App& app, LoadOptions& options);

}  // namespace bench
