#include "manifest/label_selector.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "manifest/formats.hpp"

namespace nexus::manifest {

namespace {

using Operator = LabelRequirement::Operator;

base::Error refused(std::string message) {
  return base::make_error(base::Errc::InvalidArgument, std::move(message));
}

/// Checks names and brings the values into their one order.
base::Result<LabelRequirement> checked(LabelRequirement requirement) {
  if (const auto wrong = check_label_key(requirement.key)) {
    return std::unexpected(refused(fmt::format("label key \"{}\" {}", requirement.key, *wrong)));
  }
  for (const std::string& value : requirement.values) {
    if (const auto wrong = check_label_value(value)) {
      return std::unexpected(
          refused(fmt::format("value \"{}\" of label {} {}", value, requirement.key, *wrong)));
    }
  }
  std::ranges::sort(requirement.values);
  const auto rest = std::ranges::unique(requirement.values);
  requirement.values.erase(rest.begin(), rest.end());
  return requirement;
}

/// Reads "key op value, ..." from left to right.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  base::Result<std::vector<LabelRequirement>> parse() {
    std::vector<LabelRequirement> all;
    skip_space();
    if (at_ == text_.size()) return all;
    while (true) {
      if (all.size() == LabelSelector::kRequirementsMax)
        return std::unexpected(refused("too many requirements"));
      TRY(LabelRequirement one, requirement());
      TRY(LabelRequirement good, checked(std::move(one)));
      all.push_back(std::move(good));
      if (at_ == text_.size()) return all;
      if (!take(",")) return unexpected_here("\",\" between requirements");
    }
  }

 private:
  base::Result<LabelRequirement> requirement() {
    LabelRequirement result;
    const bool absent = take("!");
    result.key = word();
    if (result.key.empty()) return unexpected_here("a label's name");
    if (absent) {
      result.op = Operator::DoesNotExist;
      return result;
    }
    if (at_ == text_.size() || text_[at_] == ',') {
      result.op = Operator::Exists;
      return result;
    }
    if (take("!=")) {
      result.op = Operator::NotIn;
      result.values = {word()};
      return result;
    }
    if (take("==") || take("=")) {
      result.values = {word()};
      return result;
    }
    const std::string op = word();
    if (op != "in" && op != "notin") return unexpected_here("one of = == != in notin");
    result.op = op == "in" ? Operator::In : Operator::NotIn;
    if (!take("(")) return unexpected_here("\"(\"");
    do result.values.push_back(word());
    while (take(","));
    if (!take(")")) return unexpected_here("\")\"");
    return result;
  }

  std::unexpected<base::Error> unexpected_here(std::string_view wanted) const {
    return std::unexpected(
        base::with_hint(refused(fmt::format("selector \"{}\": wanted {} at character {}",
                                            text_.substr(0, 200), wanted, at_ + 1)),
                        "app=web,tier!=db,zone in (a,b),canary,!old"));
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    skip_space();
    return true;
  }
  std::string word() {
    const std::size_t end = std::min(text_.find_first_of(" \t,=!()", at_), text_.size());
    std::string out(text_.substr(at_, end - at_));
    at_ = end;
    skip_space();
    return out;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::optional<Operator> operator_named(std::string_view name) {
  if (name == "In") return Operator::In;
  if (name == "NotIn") return Operator::NotIn;
  if (name == "Exists") return Operator::Exists;
  if (name == "DoesNotExist") return Operator::DoesNotExist;
  return std::nullopt;
}

}  // namespace

Labels string_map(const nlohmann::json& map) {
  Labels labels;
  if (!map.is_object()) return labels;
  for (const auto& [key, value] : map.items()) {
    if (value.is_string()) labels.emplace(key, value.get<std::string>());
  }
  return labels;
}

Labels labels_of(const nlohmann::json& object) {
  if (!object.is_object()) return {};
  const auto metadata = object.find("metadata");
  if (metadata == object.end() || !metadata->is_object()) return {};
  const auto labels = metadata->find("labels");
  return labels == metadata->end() ? Labels{} : string_map(*labels);
}

bool LabelRequirement::matches(const Labels& labels) const {
  const auto found = labels.find(key);
  const bool present = found != labels.end();
  const bool listed = present && std::ranges::binary_search(values, found->second);
  switch (op) {
    case Operator::In:
      return listed;
    case Operator::NotIn:
      return !listed;
    case Operator::Exists:
      return present;
    case Operator::DoesNotExist:
      return !present;
  }
  return false;
}

base::Result<LabelSelector> LabelSelector::parse(std::string_view text) {
  if (text.size() > kTextBytesMax) {
    return std::unexpected(refused(fmt::format("a selector has at most {} bytes", kTextBytesMax)));
  }
  LabelSelector selector;
  TRY(selector.requirements_, Parser(text).parse());
  return selector;
}

base::Result<LabelSelector> LabelSelector::from_object(const nlohmann::json& object) {
  LabelSelector selector;
  if (object.is_null()) return nothing();
  if (!object.is_object()) return std::unexpected(refused("a selector must be an object"));
  if (const auto labels = object.find("matchLabels");
      labels != object.end() && !labels->is_null()) {
    if (!labels->is_object()) return std::unexpected(refused("matchLabels must be an object"));
    for (const auto& [key, value] : labels->items()) {
      if (!value.is_string())
        return std::unexpected(refused(fmt::format("matchLabels.{} must be a string", key)));
      TRY(LabelRequirement one, checked({key, Operator::In, {value.get<std::string>()}}));
      selector.requirements_.push_back(std::move(one));
    }
  }
  if (const auto list = object.find("matchExpressions"); list != object.end() && !list->is_null()) {
    if (!list->is_array()) return std::unexpected(refused("matchExpressions must be a list"));
    for (const auto& item : *list) {
      if (!item.is_object() || !item.contains("key") || !item["key"].is_string() ||
          !item.contains("operator") || !item["operator"].is_string()) {
        return std::unexpected(refused("matchExpressions needs key and operator in each item"));
      }
      const auto op = operator_named(item["operator"].get_ref<const std::string&>());
      if (!op) {
        return std::unexpected(refused(fmt::format(
            "operator {} must be In, NotIn, Exists or DoesNotExist", item["operator"].dump())));
      }
      LabelRequirement requirement{item["key"].get<std::string>(), *op, {}};
      if (const auto values = item.find("values"); values != item.end() && values->is_array()) {
        for (const auto& value : *values) {
          if (!value.is_string())
            return std::unexpected(refused("values of matchExpressions must be strings"));
          requirement.values.push_back(value.get<std::string>());
        }
      }
      const bool wants_values = *op == Operator::In || *op == Operator::NotIn;
      if (wants_values == requirement.values.empty()) {
        return std::unexpected(refused(fmt::format("values {} with operator {}",
                                                   wants_values ? "are missing" : "must be absent",
                                                   item["operator"].get<std::string>())));
      }
      TRY(LabelRequirement one, checked(std::move(requirement)));
      selector.requirements_.push_back(std::move(one));
    }
  }
  if (selector.requirements_.size() > kRequirementsMax)
    return std::unexpected(refused("too many requirements"));
  return selector;
}

LabelSelector LabelSelector::from_labels(const Labels& labels) {
  LabelSelector selector;
  for (const auto& [key, value] : labels)
    selector.requirements_.push_back({key, Operator::In, {value}});
  return selector;
}

LabelSelector LabelSelector::nothing() {
  LabelSelector selector;
  selector.nothing_ = true;
  return selector;
}

bool LabelSelector::matches(const Labels& labels) const {
  return !nothing_ &&
         std::ranges::all_of(requirements_, [&](const auto& one) { return one.matches(labels); });
}

std::string LabelSelector::text() const {
  std::string out;
  for (const LabelRequirement& one : requirements_) {
    if (!out.empty()) out += ',';
    switch (one.op) {
      case Operator::Exists:
        out += one.key;
        break;
      case Operator::DoesNotExist:
        out += "!" + one.key;
        break;
      case Operator::In:
      case Operator::NotIn: {
        const bool in = one.op == Operator::In;
        if (one.values.size() == 1) {
          out += fmt::format("{}{}{}", one.key, in ? "=" : "!=", one.values[0]);
        } else {
          out +=
              fmt::format("{} {} ({})", one.key, in ? "in" : "notin", fmt::join(one.values, ","));
        }
      }
    }
  }
  return out;
}

}  // namespace nexus::manifest
