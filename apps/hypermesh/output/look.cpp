#include "output/look.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace cli {
namespace {

struct Symbol {
  std::string_view utf8, ascii;
};
// Every character outside of ASCII that our own texts use.
constexpr std::array kSymbols = {
    Symbol{"✔", "ok"}, Symbol{"✖", "x"},  Symbol{"→", "->"},  Symbol{"↩", "<-"}, Symbol{"│", "|"},
    Symbol{"▓", "#"},  Symbol{"░", "."},  Symbol{"…", "..."}, Symbol{"×", "x"},  Symbol{"–", "-"},
    Symbol{"·", "-"},  Symbol{"≤", "<="}, Symbol{"≥", ">="},  Symbol{"⠋", "-"},  Symbol{"⠙", "\\"},
    Symbol{"⠹", "|"},  Symbol{"⠸", "/"},  Symbol{"⠼", "-"},   Symbol{"⠴", "\\"}, Symbol{"⠦", "|"},
    Symbol{"⠧", "/"},
};

struct Decoded {
  char32_t code = 0;
  std::size_t bytes = 1;
  bool valid = false;
};

// One character at the start of `text`, which is not empty. RFC 3629: no overlong forms, no
// surrogates.
Decoded decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  const std::size_t bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < bytes) return {};
  char32_t code = lead & (0xffu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = (code << 6) | (byte(i) & 0x3fu);
  }
  const char32_t least = bytes == 4 ? 0x10000 : bytes == 3 ? 0x800 : 0x80;
  if (code < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return {};
  return {code, bytes, true};
}

// Approximates Unicode's East Asian Width (UAX 11) and combining marks by their large blocks.
std::size_t width_of(char32_t c) {
  const auto in = [c](char32_t low, char32_t high) { return c >= low && c <= high; };
  if (in(0x300, 0x36f) || in(0x200b, 0x200f) || in(0x20d0, 0x20ff) || in(0xfe00, 0xfe0f)) return 0;
  if (in(0x1100, 0x115f) || in(0x2e80, 0xa4cf) || in(0xac00, 0xd7a3) || in(0xf900, 0xfaff) ||
      in(0xfe30, 0xfe4f) || in(0xff00, 0xff60) || in(0xffe0, 0xffe6) || in(0x1f300, 0x1faff) ||
      in(0x20000, 0x3fffd)) {
    return 2;
  }
  return 1;
}

std::string_view code_of(Tone tone) {
  switch (tone) {
    case Tone::Plain:
      return "";
    case Tone::Good:
      return "32";
    case Tone::Warn:
      return "33";
    case Tone::Bad:
      return "31";
    case Tone::Dim:
      return "2";
    case Tone::Bold:
      return "1";
  }
  return "";
}

}  // namespace

base::Result<ColourChoice> parse_colour(std::string_view text) {
  if (text == "auto") return ColourChoice::Auto;
  if (text == "always") return ColourChoice::Always;
  if (text == "never") return ColourChoice::Never;
  return base::fail(base::Errc::InvalidArgument,
                    fmt::format("--color is \"{}\"; want auto, always or never", text));
}

Look decide_look(const Surroundings& s, ColourChoice choice) {
  Look look;
  look.terminal = s.terminal && s.term != "dumb";
  switch (choice) {
    case ColourChoice::Always:
      look.colour = true;
      break;
    case ColourChoice::Never:
      look.colour = false;
      break;
    case ColourChoice::Auto:
      look.colour = look.terminal && s.no_color.value_or("").empty();
      break;
  }
  std::string locale = !s.lc_all.empty() ? s.lc_all : !s.lc_ctype.empty() ? s.lc_ctype : s.lang;
  std::ranges::transform(locale, locale.begin(), [](unsigned char c) { return std::tolower(c); });
  look.unicode =
      locale.find("utf-8") != std::string::npos || locale.find("utf8") != std::string::npos;
  if (s.columns > 0) look.columns = s.columns;
  return look;
}

std::string paint(const Look& look, Tone tone, std::string_view text) {
  if (!look.colour || tone == Tone::Plain || text.empty()) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", code_of(tone), text);
}

std::string paint_replica(const Look& look, std::size_t n, std::string_view text) {
  constexpr std::array<int, 6> kColours = {36, 35, 34, 33, 32, 96};
  if (!look.colour) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", kColours[n % kColours.size()], text);
}

std::string fit(const Look& look, std::string_view text) {
  if (look.unicode) return std::string(text);
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded c = decode(text);
    const std::string_view bytes = text.substr(0, c.bytes);
    text.remove_prefix(c.bytes);
    if (c.valid && c.code < 0x80) {
      out += bytes;
      continue;
    }
    const auto* symbol = std::ranges::find(kSymbols, bytes, &Symbol::utf8);
    out += symbol != kSymbols.end() ? symbol->ascii : std::string_view("?");
  }
  return out;
}

std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Decoded c = decode(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (c.valid && c.code == '\n') {
      out += "\\n";
    } else if (c.valid && c.code == '\t') {
      out += ' ';
    } else if (!c.valid || c.code < 0x20 || c.code == 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else if ((c.code >= 0x80 && c.code < 0xa0) || (c.code >= 0x202a && c.code <= 0x202e) ||
               (c.code >= 0x2066 && c.code <= 0x2069)) {
      // C1 controls, and marks that turn the direction of what follows.
      out += fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c.code));
    } else {
      out += text.substr(0, c.bytes);
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  while (!text.empty()) {
    const Decoded c = decode(text);
    width += c.valid ? width_of(c.code) : 1;
    text.remove_prefix(c.bytes);
  }
  return width;
}

std::string shorten(std::string_view text, std::size_t columns) {
  if (display_width(text) <= columns) return std::string(text);
  if (columns == 0) return {};
  std::string out;
  std::size_t width = 0;
  while (!text.empty()) {
    const Decoded c = decode(text);
    const std::size_t next = c.valid ? width_of(c.code) : 1;
    if (width + next > columns - 1) break;
    out += text.substr(0, c.bytes);
    width += next;
    text.remove_prefix(c.bytes);
  }
  return out + "…";
}

std::string bar(std::size_t done, std::size_t total, std::size_t width) {
  const std::size_t filled = total == 0 ? width : std::min(width, done * width / total);
  std::string out;
  for (std::size_t i = 0; i < width; ++i) out += i < filled ? "▓" : "░";
  return out;
}

}  // namespace cli
