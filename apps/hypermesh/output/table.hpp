#pragma once

// Tables as kubectl prints them: upper-case heads, three spaces between columns, no lines, nothing
// after the last cell.

#include <string>
#include <vector>

#include "output/look.hpp"

namespace cli {

struct Cell {
  Cell(std::string t) : text(std::move(t)) {}
  Cell(const char* t) : text(t) {}
  Cell(std::string t, Tone n) : text(std::move(t)), tone(n) {}
  std::string text;
  Tone tone = Tone::Plain;
};

/// Cells may hold what came from outside: they are made printable when rendered.
class Table {
 public:
  explicit Table(std::vector<std::string> heads) : heads_(std::move(heads)) {}

  /// `cells` has as many entries as there are heads.
  void row(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }

  /// Every line ends with a newline. Without rows: the heads alone.
  std::string render(const Look& look, bool with_heads = true) const;

 private:
  std::vector<std::string> heads_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace cli
