#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "api/refusal.hpp"

namespace nexus::api {

/// "metadata.name=web,status.phase!=Running": Kubernetes' field selectors, for the few fields that
/// are selectable.
class FieldSelector {
 public:
  static constexpr std::size_t kTextBytesMax = 8 * 1024;
  static constexpr std::size_t kTermsMax = 64;

  FieldSelector() = default;
  /// Errors: 400 (names the field and those that can be selected by).
  static Reply<FieldSelector> parse(std::string_view kind, std::string_view text);

  bool matches(const Json& object) const;
  bool matches_everything() const { return terms_.empty(); }

 private:
  struct Term {
    std::string field, value;
    bool equal = true;
  };
  std::vector<Term> terms_;
};

}  // namespace nexus::api
