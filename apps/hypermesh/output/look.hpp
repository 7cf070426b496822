#pragma once

// How output looks on a given terminal: colour, characters, width. Decided once from the
// surroundings, then handed to everything that renders, so that rendering itself is a pure
// function.

#include <base/error.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace cli {

enum class ColourChoice { Auto, Always, Never };
/// Errors: InvalidArgument (not auto, always or never).
base::Result<ColourChoice> parse_colour(std::string_view text);

/// What decides: one stream, and the variables of the environment that speak about terminals.
struct Surroundings {
  bool terminal = false;  ///< The stream is a terminal.
  int columns = 0;        ///< Its width; 0: unknown.
  std::optional<std::string>
      no_color;      ///< NO_COLOR (no-color.org): set and not empty means no colour.
  std::string term;  ///< TERM
  std::string lc_all, lc_ctype, lang;  ///< In the order in which they override each other.
};

struct Look {
  bool colour = false;
  bool unicode = true;    ///< false: the locale is not UTF-8, symbols are written in ASCII.
  bool terminal = false;  ///< Lines may be redrawn.
  int columns = 80;
};
Look decide_look(const Surroundings& surroundings, ColourChoice choice);

enum class Tone { Plain, Good, Warn, Bad, Dim, Bold };
/// `text` in a colour, or as it is when `look` has none.
std::string paint(const Look& look, Tone tone, std::string_view text);
/// `text` in the colour of the n-th replica; the colours repeat.
std::string paint_replica(const Look& look, std::size_t n, std::string_view text);

/// Our own text for a terminal without UTF-8: the symbols that we use become ASCII, anything else
/// outside of ASCII becomes "?". With UTF-8 the text stays as it is.
std::string fit(const Look& look, std::string_view text);

/// Text that came from outside, safe for a terminal: control characters (escape sequences among
/// them) become visible as \x1b, a newline as \n, bytes that are not UTF-8 as \xff.
std::string printable(std::string_view text);

/// Columns that UTF-8 `text` takes. Combining marks take none, wide East Asian characters two.
std::size_t display_width(std::string_view text);
/// At most `columns` columns of `text`, with "…" in place of what is cut.
std::string shorten(std::string_view text, std::size_t columns);

/// "▓▓▓▓▓░░░░░", `width` characters, `done` of `total` filled. A total of 0 is full.
std::string bar(std::size_t done, std::size_t total, std::size_t width);

}  // namespace cli
