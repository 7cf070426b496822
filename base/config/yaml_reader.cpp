#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <sstream>

#include "config/readers.hpp"

namespace base::config {
namespace {

struct Refused {
  int line;
  std::string why;
};

// Builds the tree from the parser's events: no recursion of ours, a depth limit, and duplicate keys
// seen (yaml-cpp's own node tree keeps the last one silently).
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(std::string_view file_name) : file_name_(file_name) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) throw Refused{mark.line + 1, "a configuration file holds one document"};
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    add(make(mark, Value::Kind::Null, {}));
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw Refused{mark.line + 1,
                  "aliases (*name) are not supported in a configuration file; write the value out"};
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                const std::string& value) override {
    // Tag "!" says that the scalar was quoted: text, whatever it looks like.
    add(make(mark, tag == "!" ? Value::Kind::Text : plain_kind(value), value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(make(mark, Value::Kind::List, {}));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    open(make(mark, Value::Kind::Map, {}));
  }
  void OnMapEnd() override { close(); }

  Value take() { return std::move(root_); }

 private:
  struct Frame {
    Value value;
    bool has_key = false;
    std::string key;
    Origin key_origin;
  };

  static Value::Kind plain_kind(const std::string& text) {
    if (text == "true" || text == "false") return Value::Kind::Bool;
    if (text.empty() || text == "~" || text == "null") return Value::Kind::Null;
    std::size_t i = text[0] == '-' || text[0] == '+' ? 1 : 0;
    const bool digits = i < text.size() && text.find_first_not_of("0123456789", i) == text.npos;
    if (digits) return Value::Kind::Integer;
    const bool fraction = text.find_first_not_of("0123456789.", i) == text.npos &&
                          text.find('.') == text.rfind('.') && text.size() > i + 1;
    return fraction ? Value::Kind::Float : Value::Kind::Text;
  }

  Value make(const YAML::Mark& mark, Value::Kind kind, std::string text) const {
    Value value;
    value.kind = kind;
    value.text = std::move(text);
    value.origin = {std::string(file_name_), mark.line + 1};
    return value;
  }

  void open(Value value) {
    if (stack_.size() >= kConfigDepthMax) {
      throw Refused{value.origin.line,
                    fmt::format("nested deeper than {} levels", kConfigDepthMax)};
    }
    Frame frame;
    frame.value = std::move(value);
    stack_.push_back(std::move(frame));
  }

  void close() {
    Value value = std::move(stack_.back().value);
    stack_.pop_back();
    add(std::move(value));
  }

  void add(Value value) {
    if (stack_.empty()) {
      root_ = std::move(value);
      return;
    }
    Frame& top = stack_.back();
    if (top.value.kind == Value::Kind::List) {
      top.value.items.push_back(std::move(value));
    } else if (!top.has_key) {
      if (value.kind == Value::Kind::List || value.kind == Value::Kind::Map) {
        throw Refused{value.origin.line, "a key must be plain text"};
      }
      for (const auto& [key, earlier] : top.value.members) {
        if (key == value.text) {
          throw Refused{value.origin.line,
                        fmt::format("{} stands here a second time; the first is in line {}", key,
                                    earlier.key_origin.line)};
        }
      }
      top.has_key = true;
      top.key = std::move(value.text);
      top.key_origin = std::move(value.origin);
    } else {
      value.key_origin = std::move(top.key_origin);
      top.value.members.emplace_back(std::move(top.key), std::move(value));
      top.has_key = false;
    }
  }

  std::string_view file_name_;
  std::vector<Frame> stack_;
  Value root_;
  int documents_ = 0;
};

// yaml-cpp recurses once a flow bracket; a text of brackets alone would exhaust the stack before
// the first event.
Result<> check_brackets(std::string_view text, std::string_view file_name) {
  int depth = 0, line = 1;
  for (const char c : text) {
    if (c == '\n') ++line;
    if (c == '[' || c == '{') ++depth;
    if ((c == ']' || c == '}') && depth > 0) --depth;
    if (depth > kConfigDepthMax * 4) {
      return fail(Errc::InvalidArgument, fmt::format("{}:{}: nested deeper than {} levels",
                                                     file_name, line, kConfigDepthMax));
    }
  }
  return {};
}

}  // namespace

Result<Value> parse_yaml(std::string_view text, std::string_view file_name) {
  TRY_DO(check_brackets(text, file_name));
  std::istringstream stream{std::string(text)};
  Builder builder(file_name);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    return fail(Errc::InvalidArgument,
                fmt::format("{}:{}: {}", file_name, refused.line, refused.why));
  } catch (const YAML::Exception& error) {
    return fail(Errc::InvalidArgument,
                fmt::format("{}:{}: {}", file_name, error.mark.line + 1, error.msg));
  }
  return builder.take();
}

}  // namespace base::config
