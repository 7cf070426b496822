#include "session/console.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace cli {

using namespace std::chrono_literals;

std::string Environment::get(std::string_view name) const {
  const auto found = variables.find(name);
  return found == variables.end() ? std::string() : found->second;
}

namespace {

Look look_of(int fd, const Environment& environment, ColourChoice choice) {
  Surroundings s;
  s.terminal = isatty(fd) == 1;
  if (winsize size{}; s.terminal && ioctl(fd, TIOCGWINSZ, &size) == 0) s.columns = size.ws_col;
  if (const auto found = environment.variables.find("NO_COLOR");
      found != environment.variables.end())
    s.no_color = found->second;
  s.term = environment.get("TERM");
  s.lc_all = environment.get("LC_ALL");
  s.lc_ctype = environment.get("LC_CTYPE");
  s.lang = environment.get("LANG");
  return decide_look(s, choice);
}

}  // namespace

Console::Console(int in, int out, int err, const Environment& environment)
    : in_(in), out_(out), err_(err), environment_(environment), in_terminal_(isatty(in) == 1) {
  set_colour(ColourChoice::Auto);
}

Console::~Console() {
  clear_progress();
  flush();
}

void Console::set_colour(ColourChoice choice) {
  out_look_ = look_of(out_, environment_, choice);
  err_look_ = look_of(err_, environment_, choice);
}

void Console::write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t written = write(fd, data.data(), data.size());
    if (written > 0) {
      data.remove_prefix(static_cast<std::size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {
      pollfd ready{fd, POLLOUT, 0};
      poll(&ready, 1, -1);
    } else if (written < 0 && errno != EINTR) {
      if (fd == out_) out_broken_ = true;
      return;
    }
  }
}

void Console::out(std::string_view data) {
  constexpr std::size_t kBufferBytesMax = 64 * 1024;
  buffer_ += data;
  if (buffer_.size() >= kBufferBytesMax) flush();
}

void Console::flush() {
  if (buffer_.empty()) return;
  if (out_look_.terminal) clear_progress();
  write_all(out_, buffer_);
  buffer_.clear();
}

void Console::err(std::string_view text) {
  flush();
  clear_progress();
  write_all(err_, text);
}

void Console::say(Outcome outcome, std::string_view text) {
  if (quiet_ && outcome == Outcome::Done) return;
  err(outcome_line(err_look_, outcome, text) + "\n");
}

void Console::clear_progress() {
  if (drawn_lines_ == 0) return;
  write_all(err_, fmt::format("\x1b[{}A\x1b[J", drawn_lines_));
  drawn_lines_ = 0;
}

void Console::draw(base::MonotonicTime now) {
  if (quiet_ || !err_look_.terminal) return;
  if (now - last_draw_ < 90ms) return;
  last_draw_ = now;
  const auto lines = board_.frame(err_look_, frame_++);
  std::string frame;
  if (drawn_lines_ > 0) frame += fmt::format("\x1b[{}A\x1b[J", drawn_lines_);
  for (const std::string& line : lines) frame += line + "\n";
  drawn_lines_ = lines.size();
  write_all(err_, frame);
}

bool Console::ask(std::string_view question) {
  err(fit(err_look_, question) + " [y/N] ");
  std::string answer;
  for (;;) {
    char c = 0;
    const ssize_t count = read(in_, &c, 1);
    if (count <= 0) {
      // End of input, or a signal: no answer is no.
      err("\n");
      return false;
    }
    if (c == '\n') break;
    if (answer.size() < 16) answer += c;
  }
  return answer == "y" || answer == "Y" || answer == "yes" || answer == "Yes";
}

}  // namespace cli
