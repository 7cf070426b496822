#pragma once

// What may stand in a configuration file: one table drives checking, defaults, environment
// overrides, `config show` and the documentation.

#include <base/config/value.hpp>
#include <base/time.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace base::config {

enum class KeyKind : std::uint8_t {
  Bool,
  Integer,
  Duration,
  Size,
  Text,
  Choice,
  Endpoint,
  TextList
};

/// Durations are nanoseconds, sizes bytes.
using Setting = std::variant<bool, std::int64_t, std::string, std::vector<std::string>>;

struct Choice {
  std::string name;
  std::vector<std::string> aliases;  ///< Other spellings of the same thing.
};

struct Key {
  std::string name;
  KeyKind kind;
  Setting fallback;
  std::string description;
  std::optional<std::int64_t> min, max;  ///< In the setting's unit.
  std::vector<Choice> choices;           ///< Of a Choice, or of a TextList's items.
  /// Empty: the key takes effect. Otherwise the part that is not in this build; the daemon names it
  /// at start.
  std::string unbuilt;
};

struct Section {
  std::string name;
  std::string description;
  /// The key that a scalar in the section's place stands for: `transport: quic`. "enabled" also
  /// reads "enabled" and "disabled".
  std::string shorthand;
  std::vector<Key> keys;
};

class Effective;
struct Problem;

/// All keys of one layer.
struct Layer {
  std::string name;  ///< "stoq": its key in a file of several layers, and its environment prefix.
  std::vector<Key> keys;  ///< At the layer's own level. A flag `all_features` turns every section's
                          ///< `enabled` on.
  std::vector<Section> sections;
  /// Rules between keys, e.g. min_size <= max_size.
  std::function<void(const Effective&, std::vector<Problem>&)> rules;
};

Key flag(std::string name, bool fallback, std::string description);
Key integer(std::string name, std::int64_t fallback, std::int64_t min, std::int64_t max,
            std::string description);
Key duration(std::string name, Duration fallback, Duration min, Duration max,
             std::string description);
Key size(std::string name, std::uint64_t fallback, std::uint64_t min, std::uint64_t max,
         std::string description);
Key text(std::string name, std::string fallback, std::string description);
Key choice(std::string name, std::vector<Choice> choices, std::string fallback,
           std::string description);
Key endpoint(std::string name, std::string fallback, std::string description);
Key text_list(std::string name, std::vector<std::string> fallback, std::string description);
/// Marks a key as accepted and shown, but without effect because `part` is not in this build.
Key unbuilt(Key key, std::string part);

}  // namespace base::config
