#pragma once

// The three streams of the program: data to standard output, everything else to standard error.

#include <base/error.hpp>
#include <base/time.hpp>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "output/look.hpp"
#include "output/progress.hpp"

namespace cli {

/// The program's surroundings, read once in main.
struct Environment {
  std::map<std::string, std::string, std::less<>> variables;
  unsigned uid = 0;
  std::string executable;  ///< Of this program, absolute.

  std::string get(std::string_view name) const;
};

class Console {
 public:
  /// File descriptors are borrowed; tests pass pipes and files.
  Console(int in, int out, int err, const Environment& environment);
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void set_colour(ColourChoice choice);
  /// No progress, no words beside the data.
  void set_quiet(bool quiet) { quiet_ = quiet; }

  const Look& out_look() const { return out_look_; }
  const Look& err_look() const { return err_look_; }
  bool quiet() const { return quiet_; }
  /// A person sits there: can be asked, wants to see progress.
  bool interactive() const { return in_terminal_ && err_look_.terminal; }
  int in() const { return in_; }
  int out_fd() const { return out_; }

  /// To standard output, buffered until flush(), the next line to standard error, or 64 KiB.
  void out(std::string_view data);
  /// To standard error at once, above the lines of progress.
  void err(std::string_view text);
  void flush();
  /// Standard output is closed (`| head`): going on makes no sense.
  bool out_broken() const { return out_broken_; }

  void say(Outcome outcome, std::string_view text);
  /// Lines of progress, drawn on a terminal only. Draw again with draw(), at most ten times a
  /// second.
  ProgressBoard& board() { return board_; }
  void draw(base::MonotonicTime now);
  void clear_progress();

  /// A line that the terminal does not show; without a terminal the next line of standard input.
  std::string read_secret(std::string_view prompt);

  /// Shows `question` and reads a line; true for y and yes. False at the end of input or Ctrl-C.
  bool ask(std::string_view question);

 private:
  void write_all(int fd, std::string_view data);
  /// Without its end; nothing at the end of input or after Ctrl-C.
  std::optional<std::string> read_line(std::size_t bytes_max);

  int in_, out_, err_;
  const Environment& environment_;
  bool in_terminal_ = false, quiet_ = false, out_broken_ = false;
  Look out_look_, err_look_;
  std::string buffer_;
  ProgressBoard board_;
  std::size_t drawn_lines_ = 0;
  std::uint64_t frame_ = 0;
  base::MonotonicTime last_draw_{};
};

}  // namespace cli
