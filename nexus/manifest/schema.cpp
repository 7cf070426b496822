#include "manifest/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/error.hpp>
#include <string>
#include <utility>

#include "manifest/formats.hpp"
#include "manifest/schema_types.hpp"

namespace nexus::manifest {

const Field* ObjectType::find(std::string_view field) const {
  const auto found = std::ranges::find(fields, field, &Field::name);
  return found == fields.end() ? nullptr : &*found;
}

const ObjectType& schema_of(const KindInfo& kind) {
  const ObjectType* const all[] = {&kPod,     &kDeployment, &kReplicaSet, &kJob,
                                   &kService, &kEndpoints,  &kConfigMap,  &kEndpointSlice,
                                   &kSecret,  &kNode,       &kNamespace,  &kEvent};
  const auto found =
      std::ranges::find(all, kind.kind, [](const ObjectType* type) { return type->short_name(); });
  BASE_ASSERT(found != std::end(all), "every served kind has a schema");
  return **found;
}

std::string complaint_about(Format format, std::string_view value) {
  const auto answer = [&]() -> Complaint {
    switch (format) {
      case Format::None:
        return std::nullopt;
      case Format::NotEmpty:
        return value.empty() ? Complaint("must not be empty") : std::nullopt;
      case Format::DnsLabel:
        return check_dns_label(value);
      case Format::Dns1035Label:
        return check_dns_1035_label(value);
      case Format::DnsSubdomain:
        return check_dns_subdomain(value);
      case Format::LabelKey:
        return check_label_key(value);
      case Format::LabelValue:
        return check_label_value(value);
      case Format::PortName:
        return check_port_name(value);
      case Format::ConfigKey:
        return check_config_key(value);
      case Format::EnvName:
        return check_env_name(value);
      case Format::EnvPrefix:
        return check_env_prefix(value);
      case Format::ResourceName:
        return check_resource_name(value);
      case Format::Ip:
        return check_ip(value);
      case Format::AbsolutePath:
        return check_absolute_path(value);
      case Format::RelativePath:
        return check_relative_path(value);
      case Format::Image:
        return check_image(value);
    }
    return std::nullopt;
  };
  return answer().value_or("");
}

std::string_view describe_format(Format format) {
  switch (format) {
    case Format::None:
      return "";
    case Format::NotEmpty:
      return "not empty";
    case Format::DnsLabel:
      return "DNS label (RFC 1123)";
    case Format::Dns1035Label:
      return "DNS label (RFC 1035)";
    case Format::DnsSubdomain:
      return "DNS subdomain (RFC 1123)";
    case Format::LabelKey:
      return "label key, [prefix/]name";
    case Format::LabelValue:
      return "label value, at most 63 characters";
    case Format::PortName:
      return "port name, at most 15 characters";
    case Format::ConfigKey:
      return "key of letters, digits, - _ .";
    case Format::EnvName:
      return "name of a variable";
    case Format::EnvPrefix:
      return "beginning of a variable's name";
    case Format::ResourceName:
      return "cpu, memory or another resource";
    case Format::Ip:
      return "IPv6 or IPv4 address";
    case Format::AbsolutePath:
      return "absolute path";
    case Format::RelativePath:
      return "relative path without ..";
    case Format::Image:
      return "reference of an image";
  }
  return "";
}

namespace {

std::string type_name(Type type, const ObjectType* object) {
  switch (type) {
    case Type::Object:
      return std::string(object->short_name());
    case Type::List:
      return "list";
    case Type::Map:
      return "map";
    case Type::String:
      return "string";
    case Type::Bool:
      return "boolean";
    case Type::Int32:
    case Type::Int64:
      return "integer";
    case Type::Number:
      return "number";
    case Type::Quantity:
      return "quantity";
    case Type::IntOrString:
      return "integer or string";
    case Type::Time:
      return "time";
    case Type::Bytes:
      return "base64";
    case Type::Any:
      return "any";
  }
  return "any";
}

}  // namespace

std::string describe_type(const Field& field) {
  if (field.type == Type::List)
    return fmt::format("list of {}", type_name(field.element, field.object));
  if (field.type == Type::Map)
    return fmt::format("map to {}", type_name(field.element, field.object));
  return type_name(field.type, field.object);
}

}  // namespace nexus::manifest
