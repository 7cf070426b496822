#pragma once

// Work in progress, as lines: a spinner and a bar while it lasts, ✔ or ✖ when it is over. This
// decides what is shown; session/console.hpp draws it.

#include <cstdint>
#include <string>
#include <vector>

#include "output/look.hpp"

namespace cli {

enum class Outcome { Done, Failed, Note, Back };

/// "✔ deployment/web  3/3 ready in 2.1 s": without a newline.
std::string outcome_line(const Look& look, Outcome outcome, std::string_view text);

class ProgressBoard {
 public:
  /// Shows `text` for `subject` in a line of its own, instead of what it showed before. Without a
  /// total there is no bar.
  void update(std::string_view subject, std::string text, std::size_t done = 0,
              std::size_t total = 0);
  void remove(std::string_view subject);
  bool empty() const { return lines_.empty(); }

  /// The lines as of the n-th frame, each without a newline and not wider than the terminal.
  std::vector<std::string> frame(const Look& look, std::uint64_t n) const;

 private:
  struct Line {
    std::string subject, text;
    std::size_t done, total;
  };
  std::vector<Line> lines_;
};

}  // namespace cli
