#include "testing/golden.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace cli::testing {
namespace {

bool rewriting() {
  const auto words = ::testing::internal::GetArgvs();
  return std::ranges::find(words, "--rewrite") != words.end();
}

std::string visible(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\x1b') {
      out += "␛";
    } else {
      out += c;
    }
  }
  if (!out.empty() && !out.ends_with('\n')) out += "⏎\n";  // the text ends without a newline
  return out;
}

}  // namespace

Golden::Golden(std::string file) : file_(std::move(file)) {
  std::ifstream in(file_);
  std::string line, section;
  while (std::getline(in, line)) {
    if (line.starts_with("== ")) {
      section = line.substr(3);
      wanted_[section];
    } else {
      wanted_[section] += line + "\n";
    }
  }
}

Golden::~Golden() {
  if (rewriting()) {
    std::ofstream out(file_, std::ios::trunc);
    for (const auto& [name, text] : seen_) out << "== " << name << "\n" << text;
    return;
  }
  for (const auto& [name, text] : wanted_) {
    if (std::ranges::find(seen_, name, &std::pair<std::string, std::string>::first) ==
        seen_.end()) {
      ADD_FAILURE() << file_ << ": section \"" << name << "\" is not produced by the test";
    }
  }
}

void Golden::expect(std::string_view name, std::string_view text) {
  seen_.emplace_back(name, visible(text));
  if (rewriting()) return;
  const auto found = wanted_.find(name);
  if (found == wanted_.end()) {
    ADD_FAILURE() << file_ << " has no section \"" << name << "\"; run with --rewrite and review:\n"
                  << seen_.back().second;
    return;
  }
  EXPECT_EQ(seen_.back().second, found->second) << file_ << ": section \"" << name << "\"";
}

}  // namespace cli::testing
