#pragma once

// The one description of every field of every served kind. Validation, defaults, `hm explain`,
// OpenAPI, completion, strategic merge patches and diffs all read it, so they cannot disagree.
//
// The tables are constant data (schema_*.cpp), written with the small words below:
//
//   text("protocol", "Transport of the port.").one_of(kProtocols).or_else(R"("TCP")")
//
// Every field that Kubernetes has is listed. What this version does not carry out is not left out:
// it is refused with advice, or accepted with a note.

#include <array>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "manifest/kinds.hpp"

namespace nexus::manifest {

enum class Type : std::uint8_t {
  Object,  ///< Fields of `Field::object`.
  List,    ///< Of `Field::element`.
  Map,     ///< From strings to `Field::element`.
  String,
  Bool,
  Int32,
  Int64,
  Number,
  Quantity,  ///< "100m", "1Gi" or a number; stored in its canonical form.
  IntOrString,
  Time,   ///< RFC 3339
  Bytes,  ///< base64
  Any,
};

/// Which form a string (or the key of a map) must have; formats.hpp.
enum class Format : std::uint8_t {
  None,
  NotEmpty,
  DnsLabel,
  Dns1035Label,
  DnsSubdomain,
  LabelKey,
  LabelValue,
  PortName,
  ConfigKey,
  EnvName,
  EnvPrefix,
  ResourceName,
  Ip,
  AbsolutePath,
  RelativePath,
  Image,
};

enum class Support : std::uint8_t {
  Honoured,
  NoEffect,  ///< Accepted; a note says that it does nothing here.
  Refused,   ///< An error with advice.
  Server,    ///< Set by the server; what a client sends is dropped.
};

struct ObjectType;

struct Field {
  std::string_view name;
  std::string_view description;  ///< One line.
  Type type = Type::String;
  Type element = Type::String;                 ///< List, Map
  const ObjectType* object = nullptr;          ///< Object, or the element when that is Object.
  Format format = Format::None;                ///< Of a string, or of each string in a list or map.
  Format key_format = Format::None;            ///< Map
  std::span<const std::string_view> values{};  ///< All that are allowed; empty: any.
  std::span<const std::string_view> unserved{};  ///< Values of Kubernetes that `advice` is about.
  std::int64_t min = std::numeric_limits<std::int64_t>::min();
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::string_view fallback{};  ///< JSON of the default; empty: none.
  bool is_required = false;
  bool is_immutable = false;  ///< Once the object exists.
  Support support = Support::Honoured;
  std::string_view advice{};     ///< NoEffect: why. Refused, unserved: what to do instead.
  std::string_view harmless{};   ///< JSON of the one value that is accepted without a word.
  std::string_view merge_key{};  ///< List: key of an element in a strategic merge patch.
  bool merges = false;           ///< List of scalars: a strategic merge patch adds to it.
  std::array<std::string_view, 3> unique{};  ///< List: elements may not agree in all of these.

  constexpr Field with(auto Field::* member, auto value) const {
    Field copy = *this;
    copy.*member = value;
    return copy;
  }
  constexpr Field required() const { return with(&Field::is_required, true); }
  constexpr Field immutable() const { return with(&Field::is_immutable, true); }
  constexpr Field form(Format form) const { return with(&Field::format, form); }
  constexpr Field keys(Format form) const { return with(&Field::key_format, form); }
  constexpr Field one_of(std::span<const std::string_view> all) const {
    return with(&Field::values, all);
  }
  constexpr Field but_not(std::span<const std::string_view> some, std::string_view why) const {
    return with(&Field::unserved, some).with(&Field::advice, why);
  }
  constexpr Field at_least(std::int64_t bound) const { return with(&Field::min, bound); }
  constexpr Field between(std::int64_t low, std::int64_t high) const {
    return at_least(low).with(&Field::max, high);
  }
  constexpr Field or_else(std::string_view json) const { return with(&Field::fallback, json); }
  constexpr Field no_effect(std::string_view why, std::string_view but = {}) const {
    return with(&Field::support, Support::NoEffect)
        .with(&Field::advice, why)
        .with(&Field::harmless, but);
  }
  constexpr Field refused(std::string_view advise, std::string_view but = {}) const {
    return with(&Field::support, Support::Refused)
        .with(&Field::advice, advise)
        .with(&Field::harmless, but);
  }
  constexpr Field server() const { return with(&Field::support, Support::Server); }
  /// Elements are told apart by this field, and a patch merges them by it.
  constexpr Field keyed(std::string_view key) const {
    return with(&Field::merge_key, key).with(&Field::unique, std::array<std::string_view, 3>{key});
  }
  constexpr Field merged_by(std::string_view key) const { return with(&Field::merge_key, key); }
  constexpr Field merged() const { return with(&Field::merges, true); }
  constexpr Field distinct(std::string_view a, std::string_view b = {},
                           std::string_view c = {}) const {
    return with(&Field::unique, std::array<std::string_view, 3>{a, b, c});
  }
};

struct ObjectType {
  std::string_view name;         ///< As in Kubernetes' OpenAPI: "io.k8s.api.core.v1.Container".
  std::string_view description;  ///< One line.
  std::span<const Field> fields;
  bool retain_keys =
      false;  ///< A strategic merge patch replaces the fields of a union: strategy, volumes.

  const Field* find(std::string_view field) const;
  std::string_view short_name() const { return name.substr(name.rfind('.') + 1); }
};

constexpr Field make_field(std::string_view name, std::string_view description, Type type) {
  Field field;
  field.name = name;
  field.description = description;
  field.type = type;
  return field;
}
constexpr Field text(std::string_view name, std::string_view description) {
  return make_field(name, description, Type::String);
}
constexpr Field flag(std::string_view name, std::string_view description) {
  return make_field(name, description, Type::Bool);
}
constexpr Field int32(std::string_view name, std::string_view description) {
  return make_field(name, description, Type::Int32);
}
constexpr Field int64(std::string_view name, std::string_view description) {
  return make_field(name, description, Type::Int64);
}
constexpr Field quantity(std::string_view name, std::string_view description) {
  return make_field(name, description, Type::Quantity);
}
constexpr Field int_or_string(std::string_view name, std::string_view description) {
  return make_field(name, description, Type::IntOrString);
}
constexpr Field time(std::string_view name, std::string_view description) {
  return make_field(name, description, Type::Time);
}
constexpr Field any(std::string_view name, std::string_view description) {
  return make_field(name, description, Type::Any);
}
constexpr Field object(std::string_view name, const ObjectType& type,
                       std::string_view description) {
  return make_field(name, description, Type::Object).with(&Field::object, &type);
}
constexpr Field list(std::string_view name, const ObjectType& type, std::string_view description) {
  return make_field(name, description, Type::List)
      .with(&Field::element, Type::Object)
      .with(&Field::object, &type);
}
constexpr Field list(std::string_view name, Type element, std::string_view description) {
  return make_field(name, description, Type::List).with(&Field::element, element);
}
constexpr Field map(std::string_view name, Type element, std::string_view description) {
  return make_field(name, description, Type::Map).with(&Field::element, element);
}

/// The whole object of a served kind: apiVersion, kind, metadata, spec or data, status.
const ObjectType& schema_of(const KindInfo& kind);
/// A form of strings, by the check of formats.hpp that stands for it; empty: fine.
std::string complaint_about(Format format, std::string_view value);
/// "DNS label", for people.
std::string_view describe_format(Format format);
/// "list of Container", "map of strings", "string".
std::string describe_type(const Field& field);

}  // namespace nexus::manifest
