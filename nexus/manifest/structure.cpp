#include "manifest/structure.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <base/nearest.hpp>
#include <cmath>
#include <set>

#include "manifest/formats.hpp"
#include "manifest/quantity.hpp"

namespace nexus::manifest {

namespace {

constexpr std::size_t kShownMax = 80;  // Characters of a value in a message.

std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (value.is_boolean()) return fmt::format("the boolean {}", value.get<bool>());
  if (value.is_number()) return fmt::format("the number {}", value.dump());
  if (value.is_null()) return "null";
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() <= kShownMax) return fmt::format("\"{}\"", text);
  return fmt::format("\"{}...\"", text.substr(0, kShownMax));
}

std::string_view wanted(Type type) {
  switch (type) {
    case Type::Object:
    case Type::Map:
      return "an object";
    case Type::List:
      return "a list";
    case Type::Bool:
      return "true or false";
    case Type::Int32:
    case Type::Int64:
      return "a whole number";
    case Type::Number:
      return "a number";
    case Type::Quantity:
      return "a quantity such as 100m or 64Mi";
    case Type::IntOrString:
      return "a number or a string";
    case Type::Time:
      return "a time";
    case Type::String:
    case Type::Bytes:
    case Type::Any:
      return "a string";
  }
  return "something else";
}

/// Where else in the kind a field of this name stands, for a field in the wrong place.
std::string find_elsewhere(const ObjectType& type, std::string_view name, const std::string& prefix,
                           int depth) {
  if (depth == 0) return {};
  for (const Field& field : type.fields) {
    if (field.name == name && field.support != Support::Refused) return prefix + std::string(name);
  }
  for (const Field& field : type.fields) {
    const bool is_status = field.support == Support::Server || field.support == Support::Refused;
    if (!field.object || is_status) continue;
    const std::string here =
        fmt::format("{}{}{}", prefix, field.name, field.type == Type::List ? "[]." : ".");
    if (std::string found = find_elsewhere(*field.object, name, here, depth - 1); !found.empty())
      return found;
  }
  return {};
}

class StructureCheck {
 public:
  StructureCheck(const ObjectType& root, AdmitOptions::UnknownFields unknown, Report& report)
      : root_(root), unknown_(unknown), report_(report) {}

  void check_object(Json& json, const ObjectType& type) {
    if (!json.is_object()) return wrong_type(json, Type::Object);
    for (auto member = json.begin(); member != json.end();) {
      const Field* field = type.find(member.key());
      if (!field) {
        const bool drop = unknown_field(member.key(), type);
        member = drop ? json.erase(member) : std::next(member);
      } else if (member->is_null() || field->support == Support::Server) {
        member = json.erase(member);
      } else {
        ++member;
      }
    }
    for (const Field& field : type.fields) {
      if (field.support == Support::Server) continue;
      path_.push_key(field.name);
      auto member = json.find(field.name);
      if (member == json.end() && !field.fallback.empty()) {
        member = json.emplace(std::string(field.name), Json::parse(field.fallback)).first;
      }
      if (member != json.end()) {
        check_field(*member, field);
      } else if (field.is_required) {
        report_.error(path_, Reason::Required, "is required");
      }
      path_.pop();
    }
  }

 private:
  void check_field(Json& value, const Field& field) {
    const bool harmless = !field.harmless.empty() && value == Json::parse(field.harmless);
    if (field.support == Support::Refused) {
      if (!harmless)
        report_.error(path_, Reason::Unsupported, "is not supported", {std::string(field.advice)});
      return;
    }
    if (field.support == Support::NoEffect && !harmless) {
      report_.note(path_, fmt::format("has no effect: {}", field.advice));
    }
    check_value(value, field.type, field);
  }

  /// `type` is the field's own, or that of its elements.
  void check_value(Json& value, Type type, const Field& field) {
    switch (type) {
      case Type::Object:
        return check_object(value, *field.object);
      case Type::List:
        return check_list(value, field);
      case Type::Map:
        return check_map(value, field);
      case Type::String:
        return check_text(value, field);
      case Type::Bool:
        if (!value.is_boolean()) wrong_type(value, type);
        return;
      case Type::Int32:
      case Type::Int64:
        return check_integer(value, type, field);
      case Type::Number:
        if (!value.is_number()) wrong_type(value, type);
        return;
      case Type::Quantity:
        return check_amount(value);
      case Type::IntOrString:
        if (value.is_string()) return;
        return check_integer(value, Type::Int32, field);
      case Type::Time:
        if (!value.is_string()) return wrong_type(value, type);
        if (const auto wrong = check_timestamp(value.get_ref<const std::string&>()))
          malformed(value, *wrong);
        return;
      case Type::Bytes:
        return check_bytes(value);
      case Type::Any:
        return;
    }
  }

  void check_list(Json& value, const Field& field) {
    if (!value.is_array()) return wrong_type(value, Type::List);
    const bool counts = field.element != Type::Int32 && field.element != Type::Int64;
    if (counts && static_cast<std::int64_t>(value.size()) < field.min) {
      report_.error(
          path_, Reason::Required,
          fmt::format("must have at least {} element{}", field.min, field.min == 1 ? "" : "s"));
    }
    std::set<std::string> seen;
    for (std::size_t i = 0; i < value.size(); ++i) {
      path_.push_index(i);
      check_value(value[i], field.element, field);
      if (std::string id = identity(value[i], field); !id.empty() && !seen.insert(id).second) {
        FieldPath at = path_;
        if (field.unique[1].empty()) at.push_key(field.unique[0]);
        report_.error(at, Reason::Duplicate, fmt::format("is used twice: {}", id));
      }
      path_.pop();
    }
  }

  /// What tells the elements of a list apart; empty when they need not differ.
  static std::string identity(const Json& element, const Field& field) {
    std::string out;
    if (!element.is_object()) return out;
    for (std::string_view key : field.unique) {
      if (key.empty()) break;
      const auto member = element.find(key);
      if (member == element.end()) return {};
      if (!out.empty()) out += '/';
      out += member->is_string() ? member->get<std::string>() : member->dump();
    }
    return out;
  }

  void check_map(Json& value, const Field& field) {
    if (!value.is_object()) return wrong_type(value, Type::Map);
    for (auto member = value.begin(); member != value.end();) {
      if (member->is_null() && field.element != Type::String) {
        member = value.erase(member);
        continue;
      }
      path_.push_key(member.key());
      if (const std::string wrong = complaint_about(field.key_format, member.key());
          !wrong.empty()) {
        report_.error(path_, Reason::Invalid, fmt::format("has a bad key: it {}", wrong));
      }
      // Kubernetes reads a missing text as an empty one.
      if (member->is_null()) *member = "";
      check_value(*member, field.element, field);
      path_.pop();
      ++member;
    }
  }

  void check_text(Json& value, const Field& field) {
    if (!value.is_string()) return wrong_type(value, Type::String);
    const auto& text = value.get_ref<const std::string&>();
    if (std::ranges::find(field.unserved, text) != field.unserved.end()) {
      report_.error(path_, Reason::Unsupported, fmt::format("{} is not supported", text),
                    {std::string(field.advice)});
      return;
    }
    if (!field.values.empty() && std::ranges::find(field.values, text) == field.values.end()) {
      std::vector<std::string> allowed;
      for (std::string_view one : field.values) {
        allowed.push_back(one.empty() ? "\"\"" : std::string(one));
      }
      std::vector<std::string> hints;
      if (auto near = base::nearest(text.substr(0, kShownMax), allowed)) {
        hints.push_back(fmt::format("did you mean {}?", *near));
      }
      report_.error(path_, Reason::NotInEnum,
                    fmt::format("is {}; must be {}{}", shown(value),
                                allowed.size() > 1 ? "one of " : "", fmt::join(allowed, ", ")),
                    std::move(hints));
      return;
    }
    if (const std::string wrong = complaint_about(field.format, text); !wrong.empty())
      malformed(value, wrong);
  }

  void check_integer(Json& value, Type type, const Field& field) {
    constexpr double kExactMax = 9007199254740992.0;  // Whole numbers up to here are exact.
    if (value.is_number_float()) {
      const double number = value.get<double>();
      if (std::trunc(number) == number && std::abs(number) <= kExactMax)
        value = static_cast<std::int64_t>(number);
    }
    if (!value.is_number_integer())
      return wrong_type(value, field.type == Type::IntOrString ? field.type : type);
    const bool small = type == Type::Int32;
    const std::int64_t low = std::max<std::int64_t>(field.min, small ? INT32_MIN : INT64_MIN);
    const std::int64_t high = std::min<std::int64_t>(field.max, small ? INT32_MAX : INT64_MAX);
    const bool beyond = value.is_number_unsigned() && value.get<std::uint64_t>() > INT64_MAX;
    if (!beyond && value.get<std::int64_t>() >= low && value.get<std::int64_t>() <= high) return;
    const bool open_end = field.max == std::numeric_limits<std::int64_t>::max();
    const bool too_low = !beyond && value.get<std::int64_t>() < low;
    report_.error(path_, Reason::Invalid,
                  open_end && too_low
                      ? fmt::format("is {}; must be at least {}", value.dump(), low)
                      : fmt::format("is {}; must be {} to {}", value.dump(), low, high));
  }

  void check_amount(Json& value) {
    std::string text;
    if (value.is_string()) {
      text = value.get<std::string>();
    } else if (value.is_number()) {
      text = value.dump();
    } else {
      return wrong_type(value, Type::Quantity);
    }
    const auto parsed = Quantity::parse(text);
    if (!parsed) {
      report_.error(path_, Reason::Invalid,
                    fmt::format("is {}; must be a quantity such as 100m or 64Mi", shown(value)),
                    parsed.error().hints);
      return;
    }
    value = parsed->text();
  }

  void check_bytes(Json& value) {
    if (!value.is_string()) return wrong_type(value, Type::Bytes);
    auto& text = value.get_ref<std::string&>();
    std::erase_if(text, [](char c) { return c == '\n' || c == '\r'; });
    if (const auto wrong = check_base64(text)) {
      // The value may be a secret: it is not shown.
      report_.error(path_, Reason::Invalid, *wrong,
                    {"put plain text into stringData, or encode it: base64 -w0"});
    }
  }

  void malformed(const Json& value, std::string_view complaint) {
    const bool long_text = complaint.starts_with("must be at most");
    report_.error(path_, long_text ? Reason::TooLong : Reason::Invalid,
                  fmt::format("is {}; {}", shown(value), complaint));
  }

  void wrong_type(const Json& value, Type type) {
    if (report_.is_full()) return;
    std::vector<std::string> hints;
    const std::string_view plain = report_.plain_text(path_);
    const bool scalar = !value.is_object() && !value.is_array();
    if (type == Type::String && scalar && !value.is_null()) {
      hints.push_back(
          fmt::format("write it in quotes: \"{}\"", plain.empty() ? value.dump() : plain));
    } else if (value.is_string() &&
               (type == Type::Bool || type == Type::Int32 || type == Type::Int64)) {
      hints.emplace_back("write it without quotes");
    } else if (type == Type::List && value.is_object()) {
      hints.emplace_back("begin each element with \"- \"");
    }
    report_.error(path_, Reason::TypeInvalid,
                  fmt::format("is {}; must be {}", shown(value), wanted(type)), std::move(hints));
  }

  /// True when the field is to be dropped.
  bool unknown_field(const std::string& name, const ObjectType& type) {
    const bool drop = unknown_ == AdmitOptions::UnknownFields::Drop;
    if (report_.is_full()) return drop;
    path_.push_key(name);
    std::vector<std::string> candidates, hints;
    for (const Field& field : type.fields) candidates.emplace_back(field.name);
    if (auto near = base::nearest(std::string_view(name).substr(0, kShownMax), candidates)) {
      hints.push_back(fmt::format("did you mean {}?", *near));
    } else if (std::string elsewhere = find_elsewhere(root_, name, "", 6); !elsewhere.empty()) {
      hints.push_back(fmt::format("is it meant as {}? Check the indentation", elsewhere));
    }
    if (drop) {
      report_.note(path_, fmt::format("is not a field of {} and was left out", type.short_name()),
                   std::move(hints));
    } else {
      report_.error(path_, Reason::UnknownField,
                    fmt::format("is not a field of {}", type.short_name()), std::move(hints));
    }
    path_.pop();
    return drop;
  }

  const ObjectType& root_;
  AdmitOptions::UnknownFields unknown_;
  Report& report_;
  FieldPath path_;
};

}  // namespace

void check_structure(Json& object, const ObjectType& type, AdmitOptions::UnknownFields unknown,
                     Report& report) {
  StructureCheck(type, unknown, report).check_object(object, type);
}

}  // namespace nexus::manifest
