#pragma once

// What is wrong with an object, where, and what to do about it: for people by file and line, for
// the API by field path.

#include <base/error.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nexus::manifest {

/// A place in a text. Lines and columns count from 1; line 0: unknown.
struct Position {
  std::uint32_t line = 0, column = 0;
  auto operator<=>(const Position&) const = default;
};

/// Where in an object: "spec.template.spec.volumes[0].flexVolume", "metadata.labels[a.b/c]".
/// Keys are borrowed from the object or from the schema and must outlive the path.
class FieldPath {
 public:
  FieldPath() = default;
  FieldPath key(std::string_view name) const;
  FieldPath index(std::size_t position) const;
  void push_key(std::string_view name) { steps_.push_back({name, 0, false}); }
  void push_index(std::size_t position) { steps_.push_back({{}, position, true}); }
  void pop() { steps_.pop_back(); }
  bool empty() const { return steps_.empty(); }
  std::string text() const;

  struct Step {
    std::string_view key;
    std::size_t index = 0;
    bool is_index = false;
  };
  std::span<const Step> steps() const { return steps_; }

 private:
  std::vector<Step> steps_;
};

/// Why a value is refused; the names are those of the causes in Kubernetes' Status.
enum class Reason : std::uint8_t {
  Syntax,        ///< The text is not YAML.
  Required,      ///< FieldValueRequired
  Duplicate,     ///< FieldValueDuplicate
  Invalid,       ///< FieldValueInvalid
  TypeInvalid,   ///< FieldValueTypeInvalid
  NotInEnum,     ///< FieldValueNotSupported: not one of the values that exist.
  Forbidden,     ///< FieldValueForbidden
  TooLong,       ///< FieldValueTooLong
  TooMany,       ///< FieldValueTooMany
  NotFound,      ///< FieldValueNotFound: names something that does not exist.
  UnknownField,  ///< No such field.
  Unsupported,   ///< A field or value of Kubernetes that this version does not honour.
  Note,          ///< Not an error: accepted, but it has no effect or means something else here.
};
/// "FieldValueRequired".
std::string_view cause_name(Reason reason);

struct Problem {
  Reason reason = Reason::Invalid;
  std::string field;    ///< Empty: the object or the file as a whole.
  std::string message;  ///< Goes on where the field ends: "is not supported".
  std::vector<std::string> hints;
  std::string file;  ///< As the user gave it; empty: unknown.
  Position position;

  /// "app.yaml:31: spec.template.spec.volumes[0].flexVolume is not supported".
  std::string headline() const;
};

inline constexpr std::size_t kProblemsShownMax = 50;
inline constexpr std::size_t kProblemsKeptMax =
    1000;  ///< Of one file; what comes after is not even counted.

/// In the order of the file, the rest in the order they were found.
void sort_by_position(std::vector<Problem>& problems);
/// One headline each with its hints indented under it, at most kProblemsShownMax, then how many
/// more.
std::string describe(std::span<const Problem> problems);
/// One error for all: Unsupported when nothing else is wrong, else InvalidArgument. `problems` is
/// not empty.
base::Error to_error(std::span<const Problem> problems);

}  // namespace nexus::manifest
