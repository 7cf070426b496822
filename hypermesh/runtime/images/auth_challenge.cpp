#include "runtime/images/auth_challenge.hpp"

#include <fmt/format.h>

namespace hypermesh {
namespace {

bool is_token_char(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  base::Result<std::vector<AuthChallenge>> run() {
    std::vector<AuthChallenge> out;
    skip_separators();
    while (!done()) {
      if (out.size() == kChallengesMax)
        return wrong(fmt::format("more than {} challenges", kChallengesMax));
      TRY(AuthChallenge next, challenge());
      out.push_back(std::move(next));
      skip_separators();
    }
    if (out.empty()) return wrong("no challenge");
    return out;
  }

 private:
  bool done() const { return at_ >= text_.size(); }
  char peek() const { return done() ? '\0' : text_[at_]; }
  void skip_spaces() {
    while (peek() == ' ' || peek() == '\t') ++at_;
  }
  void skip_separators() {
    while (peek() == ' ' || peek() == '\t' || peek() == ',') ++at_;
  }
  std::unexpected<base::Error> wrong(std::string_view why) const {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("WWW-Authenticate is malformed at byte {}: {}", at_, why));
  }
  static std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
      if (c >= 'A' && c <= 'Z') c = char(c - 'A' + 'a');
    }
    return out;
  }
  std::string_view token() {
    const std::size_t start = at_;
    while (!done() && is_token_char(text_[at_])) ++at_;
    return text_.substr(start, at_ - start);
  }

  base::Result<std::string> value() {
    if (peek() != '"') {
      const auto plain = token();
      if (plain.empty()) return wrong("a value is missing");
      return std::string(plain);
    }
    ++at_;
    std::string out;
    while (!done() && peek() != '"') {
      if (peek() == '\\') ++at_;
      if (done()) break;
      if (static_cast<unsigned char>(peek()) < 0x20 && peek() != '\t')
        return wrong("a control character in a quoted string");
      out += text_[at_++];
    }
    if (done()) return wrong("a quoted string does not end");
    ++at_;
    return out;
  }

  // True if what follows is "name=", and reads it: a parameter of the challenge before. Otherwise
  // reads nothing.
  bool parameter_name(std::string& name) {
    const std::size_t start = at_;
    const auto word = token();
    skip_spaces();
    if (word.empty() || peek() != '=') {
      at_ = start;
      return false;
    }
    // "abc==" and "abc=" before a comma or the end are token68, not a parameter.
    const char next = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (next == '=' || next == ',' || next == '\0') {
      at_ = start;
      return false;
    }
    ++at_;
    skip_spaces();
    name = lower(word);
    return true;
  }

  std::string_view token68() {
    const std::size_t start = at_;
    while (!done() && (is_token_char(text_[at_]) || text_[at_] == '/')) ++at_;
    while (peek() == '=') ++at_;
    return text_.substr(start, at_ - start);
  }

  base::Result<AuthChallenge> challenge() {
    AuthChallenge out;
    out.scheme = lower(token());
    if (out.scheme.empty()) return wrong("a scheme is missing");
    if (done() || peek() == ',') return out;
    if (peek() != ' ') return wrong("a space must follow the scheme");
    skip_spaces();
    std::string name;
    while (parameter_name(name)) {
      if (out.parameters.size() == kChallengeParametersMax)
        return wrong(fmt::format("more than {} parameters", kChallengeParametersMax));
      TRY(std::string read, value());
      if (!out.parameters.try_emplace(name, std::move(read)).second)
        return wrong(fmt::format("\"{}\" is there twice", name));
      skip_spaces();
      if (done()) return out;
      if (peek() != ',') return wrong("a comma must follow a parameter");
      skip_separators();
    }
    if (!out.parameters.empty() || done() || peek() == ',') return out;
    out.token68 = token68();
    if (out.token68.empty()) return wrong("neither a parameter nor a token");
    skip_spaces();
    if (!done() && peek() != ',') return wrong("a comma must follow a token");
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

base::Result<std::vector<AuthChallenge>> parse_www_authenticate(std::string_view value) {
  if (value.size() > kChallengeBytesMax) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("WWW-Authenticate has {} bytes; at most {} are allowed",
                                  value.size(), kChallengeBytesMax));
  }
  return Parser(value).run();
}

}  // namespace hypermesh
