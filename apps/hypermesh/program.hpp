#pragma once

#include <base/time.hpp>
#include <span>
#include <string>

#include "session/console.hpp"

namespace cli {

struct Streams {
  int in = 0, out = 1, err = 2;
};

/// The whole program behind main: `words` are those after its name. Answers the exit code.
int run_program(std::span<const std::string> words, const Environment& environment,
                const Streams& streams, const base::Clock& clock);

}  // namespace cli
