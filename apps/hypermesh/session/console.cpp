#include "session/console.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
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

std::optional<std::string> Console::read_line(std::size_t bytes_max) {
  std::string line;
  for (;;) {
    char c = 0;
    const ssize_t count = read(in_, &c, 1);
    if (count < 0) return std::nullopt;  // EINTR: Ctrl-C is an answer
    if (count == 0) return line.empty() ? std::nullopt : std::optional(line);
    if (c == '\n') return line;
    if (line.size() < bytes_max) line += c;
  }
}

std::string Console::read_secret(std::string_view prompt) {
  constexpr std::size_t kSecretBytesMax = 4096;
  termios before{};
  const bool hidden = in_terminal_ && tcgetattr(in_, &before) == 0;
  if (hidden) {
    err(prompt);
    termios silent = before;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(in_, TCSAFLUSH, &silent);
  }
  std::string secret = read_line(kSecretBytesMax).value_or("");
  if (hidden) {
    tcsetattr(in_, TCSAFLUSH, &before);
    err("\n");
  }
  if (secret.ends_with('\r')) secret.pop_back();
  return secret;
}

bool Console::ask(std::string_view question) {
  err(fit(err_look_, question) + " [y/N] ");
  const auto answer = read_line(16);
  if (!answer) err("\n");
  return answer && (*answer == "y" || *answer == "Y" || *answer == "yes" || *answer == "Yes");
}

}  // namespace cli
