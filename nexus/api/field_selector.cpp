#include "api/field_selector.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>

namespace nexus::api {
namespace {

constexpr std::string_view kEveryKind[] = {"metadata.name", "metadata.namespace"};
constexpr std::string_view kPod[] = {"metadata.name", "metadata.namespace", "status.phase",
                                     "spec.nodeName", "spec.restartPolicy", "status.podIP"};
constexpr std::string_view kEvent[] = {"metadata.name",
                                       "metadata.namespace",
                                       "involvedObject.kind",
                                       "involvedObject.name",
                                       "involvedObject.namespace",
                                       "involvedObject.uid",
                                       "reason",
                                       "type"};
constexpr std::string_view kSecret[] = {"metadata.name", "metadata.namespace", "type"};
constexpr std::string_view kNamespace[] = {"metadata.name", "status.phase"};

std::span<const std::string_view> selectable(std::string_view kind) {
  if (kind == "Pod") return kPod;
  if (kind == "Event") return kEvent;
  if (kind == "Secret") return kSecret;
  if (kind == "Namespace") return kNamespace;
  return kEveryKind;
}

std::string field_of(const Json& object, std::string_view path) {
  const Json* at = &object;
  while (!path.empty()) {
    const auto dot = std::min(path.find('.'), path.size());
    if (!at->is_object()) return {};
    const auto found = at->find(path.substr(0, dot));
    if (found == at->end()) return {};
    at = &*found;
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  return at->is_string() ? at->get<std::string>() : std::string();
}

// Commas, equal signs and backslashes within a value are escaped by a backslash.
std::vector<std::string> split_terms(std::string_view text) {
  std::vector<std::string> terms(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      terms.back() += text.substr(i++, 2);
    } else if (text[i] == ',') {
      terms.emplace_back();
    } else {
      terms.back() += text[i];
    }
  }
  return terms;
}

std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    out += text[i];
  }
  return out;
}

}  // namespace

Reply<FieldSelector> FieldSelector::parse(std::string_view kind, std::string_view text) {
  FieldSelector selector;
  if (text.size() > kTextBytesMax)
    return bad_request(fmt::format("the field selector is longer than {} bytes", kTextBytesMax));
  for (const std::string& term : split_terms(text)) {
    if (term.empty()) continue;
    if (selector.terms_.size() == kTermsMax)
      return bad_request(fmt::format("the field selector has more than {} terms", kTermsMax));
    const auto equals = term.find('=');
    if (equals == std::string::npos || equals == 0)
      return bad_request(
          fmt::format("\"{}\" in the field selector is not FIELD=VALUE or FIELD!=VALUE", term));
    Term parsed;
    parsed.equal = term[equals - 1] != '!';
    parsed.field = term.substr(0, parsed.equal ? equals : equals - 1);
    const std::size_t value = term.compare(equals, 2, "==") == 0 ? equals + 2 : equals + 1;
    parsed.value = unescape(std::string_view(term).substr(value));
    const auto known = selectable(kind);
    if (std::ranges::find(known, parsed.field) == known.end()) {
      return bad_request(fmt::format("{} cannot be selected by \"{}\"; by {} they can", kind,
                                     parsed.field, fmt::join(known, ", ")));
    }
    selector.terms_.push_back(std::move(parsed));
  }
  return selector;
}

bool FieldSelector::matches(const Json& object) const {
  return std::ranges::all_of(terms_, [&](const Term& term) {
    return (field_of(object, term.field) == term.value) == term.equal;
  });
}

}  // namespace nexus::api
