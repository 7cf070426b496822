#pragma once

// Runs the whole program in this process, with files for its streams.

#include <base/time.hpp>
#include <map>
#include <string>
#include <vector>

namespace cli::testing {

struct Ran {
  int exit = -1;
  std::string out, err;
};

/// A folder that is removed at the end; HM_HOME of what is run.
class Home {
 public:
  Home();
  ~Home();
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  const std::string& path() const { return path_; }
  /// Writes a file below it and answers its full path.
  std::string file(const std::string& name, const std::string& content) const;
  /// Runs `hm WORDS...` with HM_HOME and a UTF-8 locale; `input` is its standard input.
  Ran run(std::vector<std::string> words, const std::string& input = {},
          std::map<std::string, std::string> variables = {}) const;

 private:
  std::string path_;
};

/// 2026-11-21T12:30:00Z for ever; the monotonic clock is the real one.
class FixedWallClock final : public base::Clock {
 public:
  base::MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
  base::WallTime wall() const override;
};

}  // namespace cli::testing
