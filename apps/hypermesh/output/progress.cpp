#include "output/progress.hpp"

#include <algorithm>
#include <array>

namespace cli {

std::string outcome_line(const Look& look, Outcome outcome, std::string_view text) {
  const auto line = [&](Tone tone, std::string_view mark) {
    return paint(look, tone, fit(look, mark)) + " " + fit(look, printable(text));
  };
  switch (outcome) {
    case Outcome::Done:
      return line(Tone::Good, "✔");
    case Outcome::Failed:
      return line(Tone::Bad, "✖");
    case Outcome::Note:
      return line(Tone::Warn, "!");
    case Outcome::Back:
      return line(Tone::Warn, "↩");
  }
  return {};
}

void ProgressBoard::update(std::string_view subject, std::string text, std::size_t done,
                           std::size_t total) {
  const auto found = std::ranges::find(lines_, subject, &Line::subject);
  Line& line =
      found != lines_.end() ? *found : lines_.emplace_back(Line{std::string(subject), {}, 0, 0});
  line.text = std::move(text);
  line.done = done;
  line.total = total;
}

void ProgressBoard::remove(std::string_view subject) {
  std::erase_if(lines_, [&](const Line& line) { return line.subject == subject; });
}

std::vector<std::string> ProgressBoard::frame(const Look& look, std::uint64_t n) const {
  constexpr std::array kSpinner = {"⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧"};
  constexpr std::size_t kBarWidth = 19;
  std::vector<std::string> out;
  for (const Line& line : lines_) {
    std::string text = std::string(kSpinner[n % kSpinner.size()]) + " " + line.subject;
    if (line.total > 0) text += "  " + bar(line.done, line.total, kBarWidth);
    if (!line.text.empty()) text += "  " + printable(line.text);
    // The last column stays free: some terminals wrap when it is written. "…" may become "...".
    const auto columns =
        static_cast<std::size_t>(std::max(look.columns - (look.unicode ? 1 : 3), 10));
    out.push_back(fit(look, shorten(fit(look, text), columns)));
  }
  return out;
}

}  // namespace cli
