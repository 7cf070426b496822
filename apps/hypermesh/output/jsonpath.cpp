#include "output/jsonpath.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <variant>

#include "output/json_access.hpp"

namespace cli {
namespace {

struct Path;

struct Fields {
  std::vector<std::string> names;
};
struct Wildcard {};
struct Descend {};  // every value below, the value itself included
struct Slice {
  std::optional<std::int64_t> from, to;
  std::int64_t step = 1;
};
struct Indexes {
  std::vector<std::int64_t> at;
};
struct Filter {
  enum class Op { Exists, Equal, NotEqual, Less, LessEqual, Greater, GreaterEqual };
  std::shared_ptr<const Path> left;
  Op op = Op::Exists;
  std::shared_ptr<const Path> right;  // or:
  Json literal;
};
using Step = std::variant<Fields, Wildcard, Descend, Slice, Indexes, Filter>;

struct Path {
  bool from_root = false;  // begins with $: the document, even inside a range
  std::vector<Step> steps;
};

struct Text {
  std::string text;
};
struct Expression {
  Path path;
};
struct RangeBlock {
  Path path;
  std::vector<JsonPath::Node> body;
};

}  // namespace

struct JsonPath::Node {
  std::variant<Text, Expression, RangeBlock> value;
};

namespace {

using Nodes = std::vector<JsonPath::Node>;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  base::Result<Nodes> run() {
    TRY(Nodes nodes, block(0));
    if (!done()) return wrong("an {end} without a {range}");
    return nodes;
  }
  base::Result<Path> bare() {
    TRY(Path path, this->path());
    skip_spaces();
    if (!done()) return wrong("want the end of the expression");
    return path;
  }

 private:
  bool done() const { return at_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  void skip_spaces() {
    while (peek() == ' ') ++at_;
  }
  std::unexpected<base::Error> wrong(std::string_view what) const {
    return std::unexpected(base::with_hint(
        base::make_error(
            base::Errc::InvalidArgument,
            fmt::format("jsonpath: {} at character {}: {}", what, at_ + 1, text_.substr(0, 200))),
        "hm help output"));
  }

  // Up to the end of the template, or to the {end} that closes this block (which stays unread at
  // depth 0).
  base::Result<Nodes> block(std::size_t depth) {
    if (depth > JsonPath::kNestingMax) return wrong("ranges are nested too deeply");
    Nodes nodes;
    while (!done()) {
      if (peek() != '{') {
        const std::size_t end = std::min(text_.find('{', at_), text_.size());
        nodes.push_back({Text{std::string(text_.substr(at_, end - at_))}});
        at_ = end;
        continue;
      }
      const std::size_t start = at_++;
      skip_spaces();
      if (take("end")) {
        skip_spaces();
        if (!take("}")) return wrong("want } after end");
        if (depth == 0) at_ = start;
        return nodes;
      }
      if (take("range ")) {
        TRY(Path over, path());
        skip_spaces();
        if (!take("}")) return wrong("want }");
        TRY(Nodes body, block(depth + 1));
        nodes.push_back({RangeBlock{std::move(over), std::move(body)}});
        continue;
      }
      while (!take("}")) {
        if (done()) return wrong("want }");
        if (peek() == '"' || peek() == '\'') {
          TRY(std::string text, quoted());
          nodes.push_back({Text{std::move(text)}});
        } else {
          const std::size_t before = at_;
          TRY(Path expression, path());
          if (at_ == before && peek() != '}') return wrong("want an expression");
          nodes.push_back({Expression{std::move(expression)}});
        }
        skip_spaces();
      }
    }
    if (depth > 0) return wrong("a {range} without an {end}");
    return nodes;
  }

  base::Result<std::string> quoted() {
    const char quote = text_[at_++];
    std::string out;
    while (!done() && peek() != quote) {
      char c = text_[at_++];
      if (c == '\\' && !done()) {
        c = text_[at_++];
        switch (c) {
          case 'n':
            c = '\n';
            break;
          case 't':
            c = '\t';
            break;
          case 'r':
            c = '\r';
            break;
          default:
            break;
        }
      }
      out += c;
    }
    if (done()) return wrong("a text in quotes does not end");
    ++at_;
    return out;
  }

  static bool ends_name(char c) {
    return std::string_view(" .[]{}()=<>!,'\"@$?*|&").find(c) != std::string_view::npos;
  }

  base::Result<std::string> name() {
    std::string out;
    while (!done() && !ends_name(peek())) {
      // An escaped character is part of the name whatever it is: kubernetes\.io
      if (peek() == '\\' && at_ + 1 < text_.size()) ++at_;
      out += text_[at_++];
    }
    if (out.empty()) return wrong("want a name");
    return out;
  }

  base::Result<Path> path() {
    Path out;
    skip_spaces();
    if (take("$")) {
      out.from_root = true;
    } else {
      take("@");
    }
    bool first = true;
    for (;; first = false) {
      if (out.steps.size() > 64) return wrong("the path is too long");
      if (take("..")) {
        out.steps.emplace_back(Descend{});
        if (peek() == '[') continue;
        TRY_DO(field(out));
      } else if (peek() == '.') {
        ++at_;
        if (done() || peek() == '}' || peek() == ' ' || peek() == ')')
          break;  // {.} is the value itself
        if (peek() == '[') continue;
        TRY_DO(field(out));
      } else if (peek() == '[') {
        TRY_DO(bracket(out));
      } else if (first && !done() && !ends_name(peek())) {
        TRY_DO(field(out));  // metadata.name without the dot, as kubectl's columns allow
      } else {
        break;
      }
    }
    return out;
  }

  base::Result<> field(Path& out) {
    if (take("*")) {
      out.steps.emplace_back(Wildcard{});
      return {};
    }
    TRY(std::string key, name());
    out.steps.emplace_back(Fields{{std::move(key)}});
    return {};
  }

  base::Result<std::int64_t> integer() {
    std::int64_t value = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) return wrong("want a number");
    at_ = static_cast<std::size_t>(end - text_.data());
    return value;
  }

  base::Result<> bracket(Path& out) {
    ++at_;
    skip_spaces();
    if (take("?(")) {
      TRY(Filter filter, this->filter());
      out.steps.emplace_back(std::move(filter));
    } else if (take("*")) {
      out.steps.emplace_back(Wildcard{});
    } else if (peek() == '\'' || peek() == '"') {
      Fields fields;
      do {
        skip_spaces();
        if (peek() != '\'' && peek() != '"') return wrong("want a name in quotes");
        TRY(std::string key, quoted());
        fields.names.push_back(std::move(key));
        skip_spaces();
      } while (take(","));
      out.steps.emplace_back(std::move(fields));
    } else {
      TRY_DO(indexes(out));
    }
    skip_spaces();
    if (!take("]")) return wrong("want ]");
    return {};
  }

  base::Result<> indexes(Path& out) {
    Slice slice;
    if (peek() != ':') {
      TRY(const std::int64_t number, integer());
      skip_spaces();
      if (peek() != ':') {
        Indexes list{{number}};
        while (take(",")) {
          skip_spaces();
          TRY(const std::int64_t next, integer());
          list.at.push_back(next);
          skip_spaces();
        }
        out.steps.emplace_back(std::move(list));
        return {};
      }
      slice.from = number;
    }
    ++at_;
    if (peek() != ']' && peek() != ':') {
      TRY(slice.to, integer());
    }
    if (take(":") && peek() != ']') {
      TRY(slice.step, integer());
      if (slice.step <= 0) return wrong("the step of a slice is at least 1");
    }
    out.steps.emplace_back(slice);
    return {};
  }

  base::Result<Filter> filter() {
    if (++filters_ > JsonPath::kNestingMax) return wrong("too many filters");
    Filter out;
    TRY(Path left, path());
    out.left = std::make_shared<const Path>(std::move(left));
    skip_spaces();
    using Op = Filter::Op;
    if (take("==") || take("=")) {
      out.op = Op::Equal;
    } else if (take("!=")) {
      out.op = Op::NotEqual;
    } else if (take("<=")) {
      out.op = Op::LessEqual;
    } else if (take(">=")) {
      out.op = Op::GreaterEqual;
    } else if (take("<")) {
      out.op = Op::Less;
    } else if (take(">")) {
      out.op = Op::Greater;
    }
    if (out.op != Op::Exists) {
      skip_spaces();
      if (peek() == '"' || peek() == '\'') {
        TRY(std::string text, quoted());
        out.literal = std::move(text);
      } else if (peek() == '@' || peek() == '$' || peek() == '.') {
        TRY(Path right, path());
        out.right = std::make_shared<const Path>(std::move(right));
      } else {
        const std::size_t end = text_.find_first_of(" )", at_);
        if (end == std::string_view::npos) return wrong("want )");
        const std::string word(text_.substr(at_, end - at_));
        out.literal = Json::parse(word, nullptr, false);
        if (out.literal.is_discarded() || out.literal.is_structured())
          return wrong("want a number, true, false or a text in quotes");
        at_ = end;
      }
    }
    skip_spaces();
    if (!take(")")) return wrong("want )");
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  std::size_t filters_ = 0;
};

using Values = std::vector<const Json*>;

class Evaluator {
 public:
  explicit Evaluator(const Json& document) : document_(document) {}

  Values evaluate(const Path& path, const Json& here) {
    Values values{path.from_root ? &document_ : &here};
    for (const Step& step : path.steps) {
      Values next;
      for (const Json* value : values) {
        std::visit([&](const auto& s) { apply(s, *value, next); }, step);
        if (over_) return {};
      }
      values = std::move(next);
    }
    return values;
  }
  bool over() const { return over_; }

 private:
  void add(Values& out, const Json& value) {
    if (++matches_ > JsonPath::kMatchesMax) over_ = true;
    if (!over_) out.push_back(&value);
  }

  void apply(const Fields& fields, const Json& value, Values& out) {
    if (!value.is_object()) return;
    for (const std::string& name : fields.names) {
      if (const auto found = value.find(name); found != value.end()) add(out, *found);
    }
  }
  void apply(const Wildcard&, const Json& value, Values& out) {
    if (!value.is_structured()) return;
    for (const Json& entry : value) add(out, entry);
  }
  void apply(const Descend&, const Json& value, Values& out) {
    // The document's depth is bounded by its parser; an explicit stack keeps ours flat. Kept in
    // document order.
    Values stack{&value};
    while (!stack.empty() && !over_) {
      const Json* here = stack.back();
      stack.pop_back();
      add(out, *here);
      if (!here->is_structured()) continue;
      const std::size_t mark = stack.size();
      for (const Json& entry : *here) stack.push_back(&entry);
      std::reverse(stack.begin() + static_cast<std::ptrdiff_t>(mark), stack.end());
    }
  }
  void apply(const Slice& slice, const Json& value, Values& out) {
    if (!value.is_array()) return;
    const auto size = static_cast<std::int64_t>(value.size());
    const auto place = [size](std::int64_t i) {
      return std::clamp<std::int64_t>(i < 0 ? i + size : i, 0, size);
    };
    const std::int64_t to = place(slice.to.value_or(size));
    for (std::int64_t i = place(slice.from.value_or(0)); i < to; i += std::min(slice.step, size)) {
      add(out, value[static_cast<std::size_t>(i)]);
    }
  }
  void apply(const Indexes& indexes, const Json& value, Values& out) {
    if (!value.is_array()) return;
    const auto size = static_cast<std::int64_t>(value.size());
    for (const std::int64_t index : indexes.at) {
      const std::int64_t i = index < 0 ? index + size : index;
      if (i >= 0 && i < size) add(out, value[static_cast<std::size_t>(i)]);
    }
  }
  void apply(const Filter& filter, const Json& value, Values& out) {
    if (!value.is_structured()) return;
    for (const Json& entry : value) {
      if (holds(filter, entry)) add(out, entry);
    }
  }

  bool holds(const Filter& filter, const Json& entry) {
    using Op = Filter::Op;
    const Values left = evaluate(*filter.left, entry);
    if (filter.op == Op::Exists) return !left.empty();
    const Json* right = &filter.literal;
    if (filter.right) {
      const Values values = evaluate(*filter.right, entry);
      if (values.empty()) return false;
      right = values.front();
    }
    if (left.empty()) return false;
    const Json& l = *left.front();
    switch (filter.op) {
      case Op::Equal:
        return l == *right;
      case Op::NotEqual:
        return l != *right;
      default:
        break;
    }
    const bool comparable =
        (l.is_number() && right->is_number()) || (l.is_string() && right->is_string());
    if (!comparable) return false;
    switch (filter.op) {
      case Op::Less:
        return l < *right;
      case Op::LessEqual:
        return l <= *right;
      case Op::Greater:
        return l > *right;
      case Op::GreaterEqual:
        return l >= *right;
      default:
        return false;
    }
  }

  const Json& document_;
  std::size_t matches_ = 0;
  bool over_ = false;
};

void show(std::string& out, const Json& value) {
  if (value.is_string()) {
    out += value.get_ref<const std::string&>();
  } else if (!value.is_null()) {
    out += value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

void render_nodes(const Nodes& nodes, Evaluator& evaluator, const Json& here, std::string& out) {
  for (const JsonPath::Node& node : nodes) {
    if (evaluator.over()) return;
    if (const auto* text = std::get_if<Text>(&node.value)) {
      out += text->text;
    } else if (const auto* expression = std::get_if<Expression>(&node.value)) {
      bool first = true;
      for (const Json* value : evaluator.evaluate(expression->path, here)) {
        if (!first) out += ' ';
        first = false;
        show(out, *value);
      }
    } else {
      const auto& range = std::get<RangeBlock>(node.value);
      for (const Json* value : evaluator.evaluate(range.path, here))
        render_nodes(range.body, evaluator, *value, out);
    }
  }
}

base::Result<> within_limit(const Evaluator& evaluator) {
  if (!evaluator.over()) return {};
  return base::fail(base::Errc::ResourceExhausted,
                    fmt::format("jsonpath: more than {} values match", JsonPath::kMatchesMax));
}

}  // namespace

base::Result<JsonPath> JsonPath::parse(std::string_view text) {
  if (text.size() > kTemplateBytesMax) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("jsonpath: the template has {} bytes; {} are allowed",
                                  text.size(), kTemplateBytesMax));
  }
  Nodes nodes;
  if (text.find('{') == std::string_view::npos) {
    TRY(Path path, Parser(text).bare());
    nodes.push_back({Expression{std::move(path)}});
  } else {
    TRY(nodes, Parser(text).run());
  }
  JsonPath out;
  out.nodes_ = std::make_shared<const Nodes>(std::move(nodes));
  return out;
}

base::Result<std::string> JsonPath::render(const Json& document) const {
  Evaluator evaluator(document);
  std::string out;
  render_nodes(*nodes_, evaluator, document, out);
  TRY_DO(within_limit(evaluator));
  return out;
}

base::Result<std::vector<const Json*>> JsonPath::select(const Json& document) const {
  Evaluator evaluator(document);
  for (const Node& node : *nodes_) {
    if (const auto* expression = std::get_if<Expression>(&node.value)) {
      Values values = evaluator.evaluate(expression->path, document);
      TRY_DO(within_limit(evaluator));
      return values;
    }
  }
  return Values{};
}

}  // namespace cli
