// openapi_v3(): the schema as OpenAPI 3.0 with Kubernetes' extensions.

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "manifest/explain.hpp"
#include "manifest/kinds.hpp"
#include "manifest/schema.hpp"

namespace nexus::manifest {

namespace {

using nlohmann::json;

json reference(const ObjectType& type) {
  return {{"$ref", fmt::format("#/components/schemas/{}", type.name)}};
}

json scalar_schema(Type type) {
  switch (type) {
    case Type::Bool:
      return {{"type", "boolean"}};
    case Type::Int32:
      return {{"type", "integer"}, {"format", "int32"}};
    case Type::Int64:
      return {{"type", "integer"}, {"format", "int64"}};
    case Type::Number:
      return {{"type", "number"}};
    case Type::Quantity:
      return {{"oneOf", {{{"type", "string"}}, {{"type", "number"}}}}};
    case Type::IntOrString:
      return {{"format", "int-or-string"},
              {"oneOf", {{{"type", "integer"}}, {{"type", "string"}}}}};
    case Type::Time:
      return {{"type", "string"}, {"format", "date-time"}};
    case Type::Bytes:
      return {{"type", "string"}, {"format", "byte"}};
    case Type::Any:
      return {{"x-kubernetes-preserve-unknown-fields", true}};
    default:
      return {{"type", "string"}};
  }
}

void bound(json& schema, const Field& field, Type type) {
  const bool number = type == Type::Int32 || type == Type::Int64;
  if (number && field.min != std::numeric_limits<std::int64_t>::min())
    schema["minimum"] = field.min;
  if (number && field.max != std::numeric_limits<std::int64_t>::max())
    schema["maximum"] = field.max;
  if (type == Type::String && !field.values.empty())
    schema["enum"] = std::vector<std::string>(field.values.begin(), field.values.end());
}

json value_schema(const Field& field, Type type) {
  json schema = type == Type::Object ? reference(*field.object) : scalar_schema(type);
  bound(schema, field, type);
  return schema;
}

json field_schema(const Field& field) {
  json schema;
  if (field.type == Type::List) {
    schema = {{"type", "array"}, {"items", value_schema(field, field.element)}};
    if (field.unique[0].empty()) {
      schema["x-kubernetes-list-type"] = field.merges ? "set" : "atomic";
    } else {
      schema["x-kubernetes-list-type"] = "map";
      for (std::string_view key : field.unique) {
        if (!key.empty()) schema["x-kubernetes-list-map-keys"].push_back(key);
      }
    }
    if (!field.merge_key.empty()) {
      schema["x-kubernetes-patch-merge-key"] = field.merge_key;
      schema["x-kubernetes-patch-strategy"] = "merge";
    } else if (field.merges) {
      schema["x-kubernetes-patch-strategy"] = "merge";
    }
  } else if (field.type == Type::Map) {
    schema = {{"type", "object"}, {"additionalProperties", value_schema(field, field.element)}};
  } else if (field.type == Type::Object) {
    // A reference has no room for a description of its own but in allOf.
    schema = {{"allOf", {reference(*field.object)}}};
    if (field.object->retain_keys) schema["x-kubernetes-patch-strategy"] = "retainKeys";
  } else {
    schema = value_schema(field, field.type);
  }
  std::string description(field.description);
  if (field.support == Support::Refused)
    description += fmt::format(" Not supported: {}.", field.advice);
  if (field.support == Support::NoEffect)
    description += fmt::format(" Has no effect: {}.", field.advice);
  schema["description"] = std::move(description);
  if (!field.fallback.empty()) schema["default"] = json::parse(field.fallback);
  return schema;
}

void add_type(const ObjectType& type, json& schemas) {
  const std::string name(type.name);
  if (schemas.contains(name)) return;
  json properties = json::object(), required = json::array();
  schemas[name] = json::object();
  for (const Field& field : type.fields) {
    properties[std::string(field.name)] = field_schema(field);
    // A client need not send what it cannot know, nor what has a default.
    if (field.is_required && field.name != "apiVersion" && field.name != "kind")
      required.push_back(field.name);
    if (field.object) add_type(*field.object, schemas);
  }
  json& schema = schemas[name];
  schema = {
      {"type", "object"}, {"description", type.description}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
}

json group_version_kind(const KindInfo& kind) {
  return {{"group", kind.group}, {"version", kind.version}, {"kind", kind.kind}};
}

struct Operation {
  Verb verb;
  const char* method;
  const char* action;
  bool on_one;
};
constexpr Operation kOperations[] = {
    {Verb::List, "get", "list", false},
    {Verb::Create, "post", "post", false},
    {Verb::DeleteCollection, "delete", "deletecollection", false},
    {Verb::Get, "get", "get", true},
    {Verb::Update, "put", "put", true},
    {Verb::Patch, "patch", "patch", true},
    {Verb::Delete, "delete", "delete", true},
};

void add_paths(const KindInfo& kind, json& paths) {
  const std::string root = kind.group.empty()
                               ? fmt::format("/api/{}", kind.version)
                               : fmt::format("/apis/{}/{}", kind.group, kind.version);
  const std::string many = kind.namespaced
                               ? fmt::format("{}/namespaces/{{namespace}}/{}", root, kind.plural)
                               : fmt::format("{}/{}", root, kind.plural);
  const json reply = {
      {"200",
       {{"description", "OK"},
        {"content", {{"application/json", {{"schema", reference(schema_of(kind))}}}}}}}};
  for (const Operation& operation : kOperations) {
    if (!kind.serves(operation.verb)) continue;
    const std::string path = operation.on_one ? many + "/{name}" : many;
    json parameters = json::array();
    const auto add_parameter = [&](const char* name) {
      parameters.push_back(
          {{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}});
    };
    if (kind.namespaced) add_parameter("namespace");
    if (operation.on_one) add_parameter("name");
    paths[path][operation.method] = {
        {"operationId", fmt::format("{}{}", operation.action, kind.kind)},
        {"x-kubernetes-action", operation.action},
        {"x-kubernetes-group-version-kind", group_version_kind(kind)},
        {"parameters", std::move(parameters)},
        {"responses", reply}};
  }
}

}  // namespace

json openapi_v3(std::string_view api_version) {
  json schemas = json::object(), paths = json::object();
  for (const KindInfo& kind : served_kinds()) {
    if (!api_version.empty() && kind.api_version() != api_version) continue;
    const ObjectType& type = schema_of(kind);
    add_type(type, schemas);
    schemas[std::string(type.name)]["x-kubernetes-group-version-kind"] =
        json::array({group_version_kind(kind)});
    add_paths(kind, paths);
  }
  return {{"openapi", "3.0.0"},
          {"info", {{"title", "HyperMesh"}, {"version", "v1"}}},
          {"paths", std::move(paths)},
          {"components", {{"schemas", std::move(schemas)}}}};
}

std::vector<std::string> openapi_versions() {
  std::set<std::string> versions;
  for (const KindInfo& kind : served_kinds()) versions.insert(kind.api_version());
  return {versions.begin(), versions.end()};
}

}  // namespace nexus::manifest
