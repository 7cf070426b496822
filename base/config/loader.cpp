#include <fmt/format.h>

#include <algorithm>
#include <base/config/effective.hpp>
#include <base/nearest.hpp>
#include <cctype>
#include <charconv>
#include <set>

namespace base::config {
namespace {

// A longer name of an environment variable is no slip of the hand.
constexpr std::size_t kVariableBytesMax = 256;

std::string quoted(const Value& value) {
  switch (value.kind) {
    case Value::Kind::Map:
      return "a section";
    case Value::Kind::List:
      return "a list";
    case Value::Kind::Null:
      return "nothing";
    case Value::Kind::Text:
      return fmt::format("\"{}\"", value.text.substr(0, 80));
    default:
      return value.text.substr(0, 80);
  }
}

std::string choices_of(const Key& key) {
  std::string text;
  for (const Choice& choice : key.choices) text += (text.empty() ? "" : ", ") + choice.name;
  return text;
}

const Choice* find_choice(const Key& key, std::string_view word) {
  for (const Choice& choice : key.choices) {
    if (choice.name == word || std::ranges::find(choice.aliases, word) != choice.aliases.end())
      return &choice;
  }
  return nullptr;
}

std::string show_limit(const Key& key, std::int64_t limit) {
  if (key.kind == KeyKind::Duration) return fmt::format("{}s", static_cast<double>(limit) / 1e9);
  if (key.kind == KeyKind::Size) return fmt::format("{} bytes", limit);
  return std::to_string(limit);
}

Result<Setting> unknown_choice(const Key& key, const std::string& word) {
  std::vector<std::string> names;
  for (const Choice& choice : key.choices) {
    names.push_back(choice.name);
    names.insert(names.end(), choice.aliases.begin(), choice.aliases.end());
  }
  std::string message =
      fmt::format("\"{}\" is unknown; want one of {}", word.substr(0, 80), choices_of(key));
  if (const auto near = nearest(word, names)) message += fmt::format("; did you mean {}?", *near);
  return fail(Errc::InvalidArgument, std::move(message));
}

Result<Setting> in_range(const Key& key, std::int64_t number, const Value& value) {
  if (key.min && number < *key.min) {
    return fail(Errc::InvalidArgument,
                fmt::format("is {}; want at least {}", quoted(value), show_limit(key, *key.min)));
  }
  if (key.max && number > *key.max) {
    return fail(Errc::InvalidArgument,
                fmt::format("is {}; want at most {}", quoted(value), show_limit(key, *key.max)));
  }
  return Setting(number);
}

Result<Setting> to_setting(const Key& key, const Value& value) {
  const bool scalar = value.kind != Value::Kind::Map && value.kind != Value::Kind::List &&
                      value.kind != Value::Kind::Null;
  const auto wanted = [&](std::string_view what) -> Result<Setting> {
    return fail(Errc::InvalidArgument, fmt::format("is {}; want {}", quoted(value), what));
  };
  switch (key.kind) {
    case KeyKind::Bool:
      if (value.text == "true" || value.text == "enabled" || value.text == "on")
        return Setting(true);
      if (value.text == "false" || value.text == "disabled" || value.text == "off")
        return Setting(false);
      return wanted("true or false");
    case KeyKind::Integer: {
      std::int64_t number = 0;
      const char* end = value.text.data() + value.text.size();
      const auto [rest, error] = std::from_chars(value.text.data(), end, number);
      if (!scalar || error != std::errc() || rest != end) return wanted("a whole number");
      return in_range(key, number, value);
    }
    case KeyKind::Duration: {
      if (!scalar) return wanted("a duration such as \"5s\"");
      TRY(const Duration duration, parse_duration(value.text));
      return in_range(key, duration.count(), value);
    }
    case KeyKind::Size: {
      if (!scalar) return wanted("a size such as \"10GB\"");
      TRY(const std::uint64_t bytes, parse_size(value.text));
      return in_range(key, static_cast<std::int64_t>(std::min<std::uint64_t>(bytes, INT64_MAX)),
                      value);
    }
    case KeyKind::Text:
      if (!scalar) return wanted("text");
      return Setting(value.text);
    case KeyKind::Choice: {
      if (!scalar) return wanted("one of " + choices_of(key));
      const Choice* choice = find_choice(key, value.text);
      if (!choice) return unknown_choice(key, value.text);
      return Setting(choice->name);
    }
    case KeyKind::Endpoint: {
      if (!scalar) return wanted("an address with a port such as \"[::]:8080\"");
      TRY_DO(parse_endpoint(value.text));
      return Setting(value.text);
    }
    case KeyKind::TextList: {
      std::vector<std::string> texts;
      const std::vector<Value> one{value};
      for (const Value& item : value.kind == Value::Kind::List ? value.items : one) {
        if (item.kind == Value::Kind::Map || item.kind == Value::Kind::List ||
            item.kind == Value::Kind::Null) {
          return wanted("a list of words");
        }
        if (!key.choices.empty()) {
          const Choice* choice = find_choice(key, item.text);
          if (!choice) return unknown_choice(key, item.text);
          texts.push_back(choice->name);
        } else {
          texts.push_back(item.text);
        }
      }
      return Setting(std::move(texts));
    }
  }
  return wanted("something else");
}

}  // namespace

// Walks documents along the schema. Sections stand at a document's top or below their layer's name.
class Loader {
 public:
  Loader(const std::vector<Layer>& layers) : layers_(layers) {
    for (const Layer& layer : layers) {
      for (const Key& key : layer.keys) add(layer, nullptr, key);
      for (const Section& section : layer.sections) {
        for (const Key& key : section.keys) add(layer, &section, key);
      }
    }
  }

  void document(const Value& root) {
    if (root.kind == Value::Kind::Null) return;
    if (root.kind != Value::Kind::Map) {
      problem(root.origin, "", "a configuration is a map of sections");
      return;
    }
    for (const auto& [name, value] : root.members) {
      if (const Layer* layer = layer_named(name)) {
        layered_ = true;
        layer_map(*layer, value);
      } else {
        top_member(name, value);
      }
    }
  }

  void environment(const Environment& variables) {
    for (const auto& [name, text] : variables) {
      Value value;
      value.text = text;
      value.kind = Value::Kind::Text;
      value.origin = {"env " + name, 0};
      bool known = false;
      for (auto& [path, entry] : loaded_.effective.entries_) {
        if (name != variable_of(entry)) continue;
        known = true;
        assign(path, entry, entry.key->kind == KeyKind::TextList ? split(value) : value);
      }
      if (!known) unknown_variable(name);
    }
  }

  Loaded finish() && {
    for (const Layer& layer : layers_) turn_on_all_features(layer);
    for (const Layer& layer : layers_) {
      if (layer.rules) layer.rules(loaded_.effective, loaded_.problems);
    }
    std::ranges::stable_sort(loaded_.problems, {}, [](const Problem& p) {
      return std::pair(p.origin.source, p.origin.line);
    });
    loaded_.effective.layered_ = layered_ || spoken_.empty();
    if (!loaded_.effective.layered_) {
      spoken_.insert("");  // What all layers share is always shown.
      loaded_.effective.shown_layers_.assign(spoken_.begin(), spoken_.end());
    }
    return std::move(loaded_);
  }

 private:
  void add(const Layer& layer, const Section* section, const Key& key) {
    std::string path = layer.name.empty() ? "" : layer.name + ".";
    if (section) path += section->name + ".";
    path += key.name;
    auto& effective = loaded_.effective;
    effective.index_.emplace(path, effective.entries_.size());
    effective.entries_.emplace_back(
        path, Effective::Entry{&layer, section, &key, key.fallback, {"default", 0}});
  }

  // `all_features: true` switches on what nobody switched explicitly.
  void turn_on_all_features(const Layer& layer) {
    const auto& effective = loaded_.effective;
    const auto found = effective.index_.find(layer.name + ".all_features");
    if (found == effective.index_.end()) return;
    const Effective::Entry all = effective.entries_[found->second].second;
    if (!std::get<bool>(all.setting)) return;
    for (auto& [path, entry] : loaded_.effective.entries_) {
      if (entry.layer == &layer && entry.section && entry.key->name == "enabled" &&
          !entry.given()) {
        entry.setting = true;
        entry.origin = all.origin;
      }
    }
  }

  static std::string upper(std::string text) {
    for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return text;
  }

  static std::string prefix_of(const Layer& layer) {
    return upper(layer.name.empty() ? "hypermesh" : layer.name) + "_";
  }

  static std::string variable_of(const Effective::Entry& entry) {
    return prefix_of(*entry.layer) + (entry.section ? upper(entry.section->name) + "__" : "") +
           upper(entry.key->name);
  }

  // "LOW_WIRE__BIND" is "low.wire.bind".
  static std::string path_of(std::string_view variable) {
    std::string path;
    for (std::size_t i = 0; i < variable.size(); ++i) {
      const bool two = variable.substr(i, 2) == "__";
      const bool dot = two || (variable[i] == '_' && path.find('.') == path.npos);
      path += dot ? '.' : static_cast<char>(std::tolower(static_cast<unsigned char>(variable[i])));
      if (two) ++i;
    }
    return path;
  }

  // The prefixes are shared with variables that are no settings (HYPERMESH_OCI_RUNTIME, or
  // NEXUS_SERVICE_HOST in a container). Meant for us is what has the form of a section's key, and
  // what is but a slip away from a key. The prefix of what all layers share belongs to a layer of
  // that name, which need not be in this build: of its sections nothing is known then.
  void unknown_variable(const std::string& name) {
    bool ours = false;
    bool slip = false;
    std::vector<std::string> names;
    for (const Layer& layer : layers_) {
      const std::string prefix = prefix_of(layer);
      if (name.starts_with(prefix) && !layer.name.empty())
        ours = ours || name.find("__", prefix.size()) != name.npos;
    }
    for (const auto& [path, entry] : loaded_.effective.entries_) {
      const std::string prefix = prefix_of(*entry.layer);
      if (!name.starts_with(prefix)) continue;
      names.push_back(variable_of(entry));
      const std::size_t edits = std::max<std::size_t>(1, (name.size() - prefix.size()) / 5);
      slip = slip || (name.size() <= kVariableBytesMax &&
                      edit_distance(name, names.back()) <= std::min<std::size_t>(edits, 2));
    }
    if (!ours && !slip) return;
    std::string message = "unknown key";
    if (const auto near = nearest(name, names)) message += fmt::format("; did you mean {}?", *near);
    problem({"env " + name, 0}, path_of(name), std::move(message));
  }

  static Value split(const Value& value) {
    Value list = value;
    list.kind = Value::Kind::List;
    std::string_view rest = value.text;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      Value item = value;
      item.text = std::string(rest.substr(0, comma));
      list.items.push_back(std::move(item));
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
    return list;
  }

  void problem(Origin origin, std::string key, std::string message) {
    loaded_.problems.push_back(
        {Problem::Severity::Error, std::move(origin), std::move(key), std::move(message)});
  }

  const Layer* layer_named(std::string_view name) const {
    for (const Layer& layer : layers_) {
      if (!layer.name.empty() && layer.name == name) return &layer;
    }
    return nullptr;
  }

  void layer_map(const Layer& layer, const Value& value) {
    if (value.kind == Value::Kind::Null) return;
    if (value.kind != Value::Kind::Map) {
      problem(value.origin, layer.name,
              fmt::format("is {}; want the sections of {}", quoted(value), layer.name));
      return;
    }
    for (const auto& [name, member] : value.members) {
      if (!layer_member(layer, name, member))
        unknown(member.key_origin, layer.name + "." + name, name, names_of(layer));
    }
  }

  void top_member(const std::string& name, const Value& value) {
    for (const Layer& layer : layers_) {
      if (layer_member(layer, name, value)) {
        spoken_.insert(layer.name);
        return;
      }
    }
    std::vector<std::string> names;
    for (const Layer& layer : layers_) {
      if (!layer.name.empty()) names.push_back(layer.name);
      std::ranges::copy(names_of(layer), std::back_inserter(names));
    }
    unknown(value.key_origin, name, name, names);
  }

  static std::vector<std::string> names_of(const Layer& layer) {
    std::vector<std::string> names;
    for (const Key& key : layer.keys) names.push_back(key.name);
    for (const Section& section : layer.sections) names.push_back(section.name);
    return names;
  }

  void unknown(const Origin& origin, const std::string& path, std::string_view name,
               const std::vector<std::string>& names) {
    std::string message = "unknown key";
    if (const auto near = nearest(name, names)) {
      const std::size_t dot = path.rfind('.');
      message += fmt::format("; did you mean {}{}?",
                             dot == path.npos ? "" : path.substr(0, dot + 1), *near);
    } else if (names.size() <= 12) {
      std::string all;
      for (const std::string& n : names) all += (all.empty() ? "" : ", ") + n;
      message += "; known here: " + all;
    }
    problem(origin, path, std::move(message));
  }

  // False when the layer has no key or section of that name.
  bool layer_member(const Layer& layer, const std::string& name, const Value& value) {
    const std::string prefix = layer.name.empty() ? "" : layer.name + ".";
    for (const Key& key : layer.keys) {
      if (key.name == name) {
        set(prefix + name, value);
        return true;
      }
    }
    for (const Section& section : layer.sections) {
      if (section.name != name) continue;
      section_value(prefix + name, section, value);
      return true;
    }
    return false;
  }

  void section_value(const std::string& path, const Section& section, const Value& value) {
    if (value.kind == Value::Kind::Null) return;
    if (value.kind != Value::Kind::Map) {
      if (section.shorthand.empty() || value.kind == Value::Kind::List) {
        problem(value.origin, path, fmt::format("is {}; want a section", quoted(value)));
      } else if (is_switch(value) && has_key(section, "enabled")) {
        set(path + ".enabled", value);
      } else {
        set(path + "." + section.shorthand, value);
      }
      return;
    }
    for (const auto& [name, member] : value.members) {
      if (has_key(section, name)) {
        set(path + "." + name, member);
      } else {
        std::vector<std::string> names;
        for (const Key& key : section.keys) names.push_back(key.name);
        unknown(member.key_origin, path + "." + name, name, names);
      }
    }
  }

  static bool is_switch(const Value& value) {
    return value.text == "enabled" || value.text == "disabled" || value.text == "true" ||
           value.text == "false";
  }
  static bool has_key(const Section& section, std::string_view name) {
    return std::ranges::find(section.keys, name, &Key::name) != section.keys.end();
  }

  void set(const std::string& path, const Value& value) {
    assign(path, loaded_.effective.entries_[loaded_.effective.index_.at(path)].second, value);
  }

  void assign(const std::string& path, Effective::Entry& entry, const Value& value) {
    auto setting = to_setting(*entry.key, value);
    if (!setting) {
      problem(value.key_origin.line > 0 ? value.key_origin : value.origin, path,
              setting.error().message);
      return;
    }
    entry.setting = std::move(*setting);
    entry.origin = value.origin;
  }

  const std::vector<Layer>& layers_;
  Loaded loaded_;
  bool layered_ = false;
  std::set<std::string> spoken_;  // Layers with a section at a document's top.
};

Loaded load(const std::vector<Layer>& layers, const std::vector<Value>& documents,
            const Environment& environment) {
  Loader loader(layers);
  for (const Value& document : documents) loader.document(document);
  loader.environment(environment);
  return std::move(loader).finish();
}

}  // namespace base::config
