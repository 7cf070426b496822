#include "manifest/yaml_document.hpp"

#include <fmt/format.h>
#include <yaml.h>

#include <algorithm>
#include <base/error.hpp>
#include <map>
#include <optional>
#include <string>

#include "manifest/yaml_scalar.hpp"

namespace nexus::manifest {

namespace {

/// One node of the text as written: aliases point, nothing is expanded.
struct Node {
  enum class Kind : std::uint8_t { Scalar, Sequence, Mapping, Alias } kind = Kind::Scalar;
  bool closed = false;  ///< Complete; an alias to what is still open would be a cycle.
  bool merge = false;   ///< A plain "<<".
  Position at;
  Json scalar;
  std::string plain;                    ///< The text of a plain scalar.
  std::vector<std::uint32_t> children;  ///< Mapping: key, value, key, value, ...
  std::uint32_t target = 0;             ///< Alias
};

/// libyaml's parser and event with their ends.
class Events {
 public:
  explicit Events(std::string_view text) {
    BASE_ASSERT(yaml_parser_initialize(&parser_) == 1, "libyaml: out of memory");
    yaml_parser_set_encoding(&parser_, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size());
  }
  ~Events() {
    drop();
    yaml_parser_delete(&parser_);
  }
  Events(const Events&) = delete;
  Events& operator=(const Events&) = delete;

  /// Null at an error, which parser() describes. Valid until the next call.
  const yaml_event_t* next() {
    drop();
    held_ = yaml_parser_parse(&parser_, &event_) == 1;
    return held_ ? &event_ : nullptr;
  }
  const yaml_parser_t& parser() const { return parser_; }

 private:
  void drop() {
    if (held_) yaml_event_delete(&event_);
    held_ = false;
  }
  yaml_parser_t parser_;
  yaml_event_t event_;
  bool held_ = false;
};

Position position_of(const yaml_mark_t& mark) {
  return {static_cast<std::uint32_t>(mark.line) + 1, static_cast<std::uint32_t>(mark.column) + 1};
}

std::string_view text_of(const yaml_char_t* text) {
  return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view();
}

std::string_view line_of(std::string_view text, std::size_t line) {
  while (line > 1) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return {};
    text.remove_prefix(end + 1);
    --line;
  }
  return text.substr(0, text.find('\n'));
}

constexpr std::string_view kTemplateHint =
    "this looks like a template: render it first and deploy the result, e.g. helm template . | hm "
    "deploy -f -";

/// JSON writes characters beyond 16 bits as two escapes, YAML as one. Only for a text that is JSON
/// as a whole, where a \u cannot stand outside of a string.
std::optional<std::string> join_surrogates(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || (text[first] != '{' && text[first] != '['))
    return std::nullopt;
  if (text.find("\\ud") == std::string_view::npos && text.find("\\uD") == std::string_view::npos) {
    return std::nullopt;
  }
  if (!Json::accept(text)) return std::nullopt;
  const auto unit = [&](std::size_t at) -> std::optional<std::uint32_t> {
    if (at + 6 > text.size() || text[at] != '\\' || text[at + 1] != 'u') return std::nullopt;
    return static_cast<std::uint32_t>(std::stoul(std::string(text.substr(at + 2, 4)), nullptr, 16));
  };
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto high = text[at] == '\\' ? unit(at) : std::nullopt;
    const auto low = high ? unit(at + 6) : std::nullopt;
    if (high && low && *high >= 0xd800 && *high < 0xdc00 && *low >= 0xdc00 && *low < 0xe000) {
      out += fmt::format("\\U{:08x}", 0x10000 + ((*high - 0xd800) << 10) + (*low - 0xdc00));
      at += 12;
    } else if (text[at] == '\\' && at + 1 < text.size()) {
      out += text.substr(at, 2);
      at += 2;
    } else {
      out += text[at++];
    }
  }
  return out;
}

class Reader {
 public:
  Reader(std::string_view text, std::string_view file, const ReadLimits& limits)
      : text_(text), file_(file), limits_(limits), events_(text) {}

  Documents read() {
    while (const yaml_event_t* event = events_.next()) {
      if (event->type == YAML_STREAM_END_EVENT) return std::move(result_);
      if (!take(*event)) return std::move(result_);
    }
    syntax_error();
    return std::move(result_);
  }

 private:
  /// False ends the reading; a problem says why.
  bool take(const yaml_event_t& event) {
    const Position at = position_of(event.start_mark);
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT:
        nodes_.clear();
        anchors_.clear();
        return true;
      case YAML_DOCUMENT_END_EVENT:
        return finish_document();
      case YAML_SCALAR_EVENT:
        return add_scalar(event, at);
      case YAML_ALIAS_EVENT:
        return add_alias(text_of(event.data.alias.anchor), at);
      case YAML_SEQUENCE_START_EVENT:
        return open(Node::Kind::Sequence, at, text_of(event.data.sequence_start.anchor),
                    text_of(event.data.sequence_start.tag), "tag:yaml.org,2002:seq");
      case YAML_MAPPING_START_EVENT:
        return open(Node::Kind::Mapping, at, text_of(event.data.mapping_start.anchor),
                    text_of(event.data.mapping_start.tag), "tag:yaml.org,2002:map");
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT:
        nodes_[open_.back()].closed = true;
        open_.pop_back();
        return true;
      default:
        return true;
    }
  }

  std::optional<std::uint32_t> add(Node node) {
    if (++nodes_read_ > limits_.nodes_max) {
      stop(node.at, fmt::format("has more than {} values", limits_.nodes_max));
      return std::nullopt;
    }
    const auto index = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back(std::move(node));
    if (!open_.empty()) nodes_[open_.back()].children.push_back(index);
    return index;
  }

  bool open(Node::Kind kind, Position at, std::string_view anchor, std::string_view tag,
            std::string_view usual) {
    if (!tag.empty() && tag != usual)
      return stop(at, fmt::format("tag {} is not supported", tag.substr(0, 100)));
    if (open_.size() == limits_.depth_max) {
      return stop(at, fmt::format("is nested deeper than {} levels", limits_.depth_max));
    }
    const auto index = add(Node{.kind = kind, .at = at});
    if (!index) return false;
    if (!anchor.empty()) anchors_[std::string(anchor)] = *index;
    open_.push_back(*index);
    return true;
  }

  bool add_scalar(const yaml_event_t& event, Position at) {
    const auto& scalar = event.data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    const std::string_view tag = text_of(scalar.tag);
    const bool plain = scalar.style == YAML_PLAIN_SCALAR_STYLE;
    Node node{.closed = true, .at = at};
    auto value = !tag.empty() ? resolve_tagged_scalar(tag, text, plain)
                 : plain      ? resolve_plain_scalar(text)
                              : base::Result<Json>(Json(std::string(text)));
    if (!value) {
      report(at, value.error().message, value.error().hints);
    } else {
      node.scalar = *std::move(value);
    }
    if (plain && !node.scalar.is_string() && text.size() <= 64) node.plain = text;
    node.merge = plain && tag.empty() && text == "<<";
    const auto index = add(std::move(node));
    if (!index) return false;
    if (scalar.anchor) anchors_[std::string(text_of(scalar.anchor))] = *index;
    return true;
  }

  bool add_alias(std::string_view name, Position at) {
    const auto anchor = anchors_.find(std::string(name));
    if (anchor == anchors_.end())
      return stop(at, fmt::format("alias *{} has no anchor &{}", name, name));
    if (!nodes_[anchor->second].closed) {
      return stop(at, fmt::format("alias *{} stands inside of what it names: a cycle", name));
    }
    return add(Node{.kind = Node::Kind::Alias, .closed = true, .at = at, .target = anchor->second})
        .has_value();
  }

  bool finish_document() {
    if (nodes_.empty()) return true;
    Document document;
    path_ = {};
    building_ = true;
    if (!build(0, 0, document.value, document.positions)) return false;
    building_ = false;
    document.positions.key = document.positions.value;
    if (!document.value.is_null()) result_.documents.push_back(std::move(document));
    return true;
  }

  /// Builds the value of a node with aliases and merges expanded. Recursion is bounded by
  /// depth_max.
  bool build(std::uint32_t index, std::size_t depth, Json& value, PositionTree& tree) {
    const Node* node = &nodes_[index];
    tree.value = node->at;
    if (node->kind == Node::Kind::Alias) node = &nodes_[node->target];
    if (++nodes_built_ > limits_.nodes_max) {
      return stop(tree.value,
                  fmt::format("has more than {} values with aliases expanded", limits_.nodes_max));
    }
    if (depth > limits_.depth_max) {
      return stop(tree.value, fmt::format("is nested deeper than {} levels with aliases expanded",
                                          limits_.depth_max));
    }
    switch (node->kind) {
      case Node::Kind::Scalar:
        value = node->scalar;
        tree.plain = node->plain;
        return !value.is_string() ||
               count_bytes(value.get_ref<const std::string&>().size(), tree.value);
      case Node::Kind::Sequence:
        value = Json::array();
        for (std::size_t i = 0; i < node->children.size(); ++i) {
          PositionTree& item = tree.items.emplace_back();
          path_.push_index(i);
          if (!build(node->children[i], depth + 1, value.emplace_back(), item)) return false;
          path_.pop();
          item.key = item.value;
        }
        return true;
      case Node::Kind::Mapping:
        return build_mapping(*node, depth, value, tree);
      case Node::Kind::Alias:
        break;  // Never the target of an alias: it would name its own target.
    }
    return true;
  }

  bool build_mapping(const Node& node, std::size_t depth, Json& value, PositionTree& tree) {
    value = Json::object();
    std::vector<std::uint32_t> merged;
    for (std::size_t i = 0; i + 1 < node.children.size(); i += 2) {
      Node& key = nodes_[node.children[i]];
      if (key.merge) {
        merged.push_back(node.children[i + 1]);
        continue;
      }
      const std::string* name = key_text(key);
      if (!name) return false;
      if (!count_bytes(name->size(), key.at)) return false;
      path_.push_key(*name);
      const bool fresh = !value.contains(*name);
      if (!fresh && result_.problems.size() < kProblemsKeptMax) {
        const Position first = tree.member(*name)->key;
        report(key.at, fmt::format("appears twice; first in line {}", first.line), {},
               Reason::Duplicate);
      }
      // What stands second is read as well, for its own mistakes, and then dropped.
      Json spare;
      PositionTree spare_tree;
      Json& target = fresh ? value[*name] : spare;
      PositionTree& target_tree = fresh ? tree.members.emplace_back() : spare_tree;
      target_tree.name = *name;
      target_tree.key = key.at;
      if (!build(node.children[i + 1], depth + 1, target, target_tree)) return false;
      path_.pop();
    }
    for (std::uint32_t source : merged) {
      if (!merge(source, depth, value, tree)) return false;
    }
    return true;
  }

  /// "<<": keys that the mapping has itself win, then those of earlier sources.
  bool merge(std::uint32_t index, std::size_t depth, Json& value, PositionTree& tree) {
    const Node& written = nodes_[index];
    const Node& source = written.kind == Node::Kind::Alias ? nodes_[written.target] : written;
    if (source.kind == Node::Kind::Sequence) {
      if (depth > limits_.depth_max) return stop(written.at, "merge keys are nested too deep");
      if (++nodes_built_ > limits_.nodes_max)
        return stop(written.at, "merges too many mappings with aliases expanded");
      for (std::uint32_t item : source.children) {
        if (!merge(item, depth + 1, value, tree)) return false;
      }
      return true;
    }
    if (source.kind != Node::Kind::Mapping)
      return stop(written.at, "<< wants a mapping or a list of mappings");
    Json other;
    PositionTree other_tree;
    if (!build(index, depth + 1, other, other_tree)) return false;
    for (PositionTree& member : other_tree.members) {
      if (value.contains(member.name)) continue;
      value[member.name] = std::move(other[member.name]);
      tree.members.push_back(std::move(member));
    }
    return true;
  }

  /// The name that a key stands for; numbers and booleans become text, as in JSON they must.
  const std::string* key_text(Node& written) {
    Node& key = written.kind == Node::Kind::Alias ? nodes_[written.target] : written;
    if (key.kind != Node::Kind::Scalar) {
      std::vector<std::string> hints;
      if (line_of(text_, key.at.line).contains("{{")) hints.emplace_back(kTemplateHint);
      stop(written.at, "a list or mapping cannot be a key", std::move(hints));
      return nullptr;
    }
    if (key.scalar.is_null()) {
      stop(written.at, "a key is missing before \":\"");
      return nullptr;
    }
    if (!key.scalar.is_string()) key.scalar = Json(key.scalar.dump());
    return &key.scalar.get_ref<const std::string&>();
  }

  bool count_bytes(std::size_t bytes, Position at) {
    bytes_built_ += bytes;
    if (bytes_built_ <= limits_.expanded_bytes_max) return true;
    return stop(at, fmt::format("has more than {} bytes with aliases expanded",
                                limits_.expanded_bytes_max));
  }

  void report(Position at, std::string message, std::vector<std::string> hints = {},
              Reason reason = Reason::Syntax) {
    // More than a person will look at; all of them would cost a hostile text's author nothing and
    // us memory.
    if (result_.problems.size() >= kProblemsKeptMax) return;
    Problem problem{.reason = reason, .message = std::move(message), .hints = std::move(hints)};
    if (building_) problem.field = path_.text();
    problem.file = file_;
    problem.position = at;
    result_.problems.push_back(std::move(problem));
  }

  bool stop(Position at, std::string message, std::vector<std::string> hints = {}) {
    report(at, std::move(message), std::move(hints));
    return false;
  }

  void syntax_error() {
    const yaml_parser_t& parser = events_.parser();
    const std::string what = parser.problem ? parser.problem : "cannot be read";
    Position at = position_of(parser.problem_mark);
    std::string message;
    std::vector<std::string> hints;
    if (parser.error == YAML_READER_ERROR) {
      const std::size_t offset = std::min(parser.problem_offset, text_.size());
      at = {static_cast<std::uint32_t>(std::ranges::count(text_.substr(0, offset), '\n')) + 1, 0};
      message = fmt::format("{} (byte {})", what, offset);
      hints.emplace_back("the file must be UTF-8 text");
    } else {
      message = parser.context ? fmt::format("{}: {}", parser.context, what) : what;
      const Position begun = position_of(parser.context_mark);
      if (parser.context && begun.line != at.line)
        message += fmt::format(" (it begins in line {})", begun.line);
    }
    const std::string_view line = line_of(text_, at.line);
    const std::size_t indent = line.find_first_not_of(" \t");
    if (line.contains("{{")) {
      hints.emplace_back(kTemplateHint);
    } else if (line.substr(0, indent).contains('\t')) {
      hints.emplace_back("indent with spaces, not with tabs");
    } else if (what.contains("mapping values are not allowed")) {
      hints.emplace_back("quote a text that holds \": \"; check the indentation of this line");
    } else if (what.contains("cannot start any token")) {
      hints.emplace_back("quote a text that begins with @, % or `");
    } else if (what.contains("did not find expected")) {
      hints.emplace_back("check the indentation of this line and of those before it");
    }
    stop(at, std::move(message), std::move(hints));
  }

  std::string_view text_;
  std::string file_;
  const ReadLimits& limits_;
  Events events_;
  Documents result_;
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> open_;
  std::map<std::string, std::uint32_t> anchors_;
  FieldPath path_;         // Of what is being built; borrows the nodes' keys.
  bool building_ = false;  // Problems of the text itself have no path.
  std::size_t nodes_read_ = 0, nodes_built_ = 0, bytes_built_ = 0;
};

}  // namespace

Documents read_documents(std::string_view text, std::string_view file, const ReadLimits& limits) {
  if (text.size() > limits.text_bytes_max) {
    Problem problem{.message = fmt::format("has {} bytes; at most {} are read", text.size(),
                                           limits.text_bytes_max)};
    problem.reason = Reason::Syntax;
    problem.file = file;
    return {.documents = {}, .problems = {std::move(problem)}};
  }
  if (const auto joined = join_surrogates(text)) return Reader(*joined, file, limits).read();
  return Reader(text, file, limits).read();
}

}  // namespace nexus::manifest
