#include "output/table.hpp"

#include <algorithm>
#include <base/error.hpp>

namespace cli {

void Table::row(std::vector<Cell> cells) {
  BASE_ASSERT(cells.size() == heads_.size(), "a row has one cell for each head");
  rows_.push_back(std::move(cells));
}

std::string Table::render(const Look& look, bool with_heads) const {
  constexpr std::size_t kGap = 3;
  struct Shown {
    std::string text;
    Tone tone;
    std::size_t width;
  };
  std::vector<std::vector<Shown>> lines;
  if (with_heads) {
    auto& line = lines.emplace_back();
    for (const std::string& head : heads_) line.push_back({head, Tone::Plain, display_width(head)});
  }
  for (const auto& row : rows_) {
    auto& line = lines.emplace_back();
    for (const Cell& cell : row) {
      std::string text = fit(look, printable(cell.text));
      const std::size_t width = display_width(text);
      line.push_back({std::move(text), cell.tone, width});
    }
  }
  std::vector<std::size_t> widths(heads_.size(), 0);
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].width);
  }
  std::string out;
  for (const auto& line : lines) {
    std::size_t used = line.size();
    while (used > 0 && line[used - 1].text.empty()) --used;
    for (std::size_t i = 0; i < used; ++i) {
      out += paint(look, line[i].tone, line[i].text);
      if (i + 1 < used) out.append(widths[i] - line[i].width + kGap, ' ');
    }
    out += '\n';
  }
  return out;
}

}  // namespace cli
