#pragma once

// Kubernetes' label selectors, from the command line ("app=web,tier in (a, b)") and from objects
// ({matchLabels, matchExpressions}).

#include <base/error.hpp>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace nexus::manifest {

using Labels = std::map<std::string, std::string>;

/// The strings of `object`'s metadata.labels (or of any map of strings; what is not a string is
/// left out).
Labels labels_of(const nlohmann::json& object);
Labels string_map(const nlohmann::json& map);

struct LabelRequirement {
  enum class Operator : std::uint8_t { In, NotIn, Exists, DoesNotExist };
  std::string key;
  Operator op = Operator::In;
  std::vector<std::string> values;  ///< In, NotIn: at least one, sorted, each once.

  bool matches(const Labels& labels) const;
  bool operator==(const LabelRequirement&) const = default;
};

/// All requirements must hold; without any, everything matches.
class LabelSelector {
 public:
  static constexpr std::size_t kTextBytesMax = 64 * 1024;
  static constexpr std::size_t kRequirementsMax = 1000;

  LabelSelector() = default;
  /// "a=b,c!=d,x in (y,z),w notin (v),present,!absent". As in Kubernetes, "!=" and "notin" match an
  /// object without the label. Errors: InvalidArgument (what is wrong, and where in the text).
  static base::Result<LabelSelector> parse(std::string_view text);
  /// `selector` is {matchLabels, matchExpressions}; an empty object matches everything.
  /// Errors: InvalidArgument.
  static base::Result<LabelSelector> from_object(const nlohmann::json& selector);
  /// Every label must have this value (a Service's selector, nodeSelector).
  static LabelSelector from_labels(const Labels& labels);
  /// Matches nothing: an absent selector of a Service.
  static LabelSelector nothing();

  bool matches(const Labels& labels) const;
  bool matches_everything() const { return !nothing_ && requirements_.empty(); }
  bool matches_nothing() const { return nothing_; }
  const std::vector<LabelRequirement>& requirements() const { return requirements_; }
  /// In the form that parse() reads.
  std::string text() const;
  bool operator==(const LabelSelector&) const = default;

 private:
  std::vector<LabelRequirement> requirements_;
  bool nothing_ = false;
};

}  // namespace nexus::manifest
