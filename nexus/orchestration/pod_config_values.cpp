#include "orchestration/pod_config_values.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "manifest/formats.hpp"
#include "manifest/quantity.hpp"
#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

namespace {

/// metadata.labels['key'] or metadata.annotations['key'].
std::optional<std::string> subscript(const std::string& path, std::string_view field) {
  if (!path.starts_with(field)) return std::nullopt;
  const std::string_view rest = std::string_view(path).substr(field.size());
  if (rest.size() < 4 || !rest.starts_with("['") || !rest.ends_with("']")) return std::nullopt;
  return std::string(rest.substr(2, rest.size() - 4));
}

std::string all_lines(const std::map<std::string, std::string>& entries) {
  std::string out;
  for (const auto& [key, value] : entries) {
    if (!out.empty()) out += '\n';
    out +=
        fmt::format("{}={}", key, Json(value).dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  return out;
}

using Variables = std::map<std::string, std::string>;

/// Names keep the place of their first definition; the last value counts.
class Environment {
 public:
  void set(const std::string& name, std::string value) {
    if (values_.insert_or_assign(name, std::move(value)).second) order_.push_back(name);
  }
  const Variables& values() const { return values_; }
  std::vector<std::pair<std::string, std::string>> take() && {
    std::vector<std::pair<std::string, std::string>> out;
    for (std::string& name : order_) out.emplace_back(name, values_.at(name));
    return out;
  }

 private:
  std::vector<std::string> order_;
  Variables values_;
};

base::Result<> add_whole_objects(const PodConfigInput& input, const Container& container,
                                 Environment& into) {
  for (const Json& from : items(*container.json, "envFrom")) {
    for (const auto& [member, kind] :
         {std::pair("configMapRef", "ConfigMap"), std::pair("secretRef", "Secret")}) {
      const Json* ref = find(from, member);
      if (ref == nullptr) continue;
      TRY(auto entries, config_entries(input, kind, text(*ref, "name"), flag(*ref, "optional")));
      for (auto& [key, value] : entries) {
        const std::string name = text(from, "prefix") + key;
        // Kubernetes leaves out what cannot be a variable.
        if (!manifest::check_env_name(name)) into.set(name, std::move(value));
      }
    }
  }
  return {};
}

base::Result<std::optional<std::string>> variable_value(const PodConfigInput& input,
                                                        const Container& container,
                                                        const Json& source) {
  if (const Json* field = find(source, "fieldRef")) {
    TRY(auto value, field_value(input, text(*field, "fieldPath")));
    return value;
  }
  if (const Json* resource = find(source, "resourceFieldRef")) {
    TRY(auto value, resource_value(input, *resource, &container));
    return value;
  }
  for (const auto& [member, kind] :
       {std::pair("configMapKeyRef", "ConfigMap"), std::pair("secretKeyRef", "Secret")}) {
    const Json* ref = find(source, member);
    if (ref == nullptr) continue;
    const bool optional = flag(*ref, "optional");
    const std::string name = text(*ref, "name"), key = text(*ref, "key");
    TRY(auto entries, config_entries(input, kind, name, optional));
    const auto entry = entries.find(key);
    if (entry != entries.end()) return entry->second;
    if (optional) return std::nullopt;
    return base::fail(base::Errc::NotFound, fmt::format("{} {}/{} has no key \"{}\"", kind,
                                                        input.pod.meta.name_space, name, key));
  }
  return base::fail(base::Errc::Unsupported, "a variable comes from nothing that is known");
}

}  // namespace

base::Result<std::string> field_value(const PodConfigInput& input, const std::string& path) {
  const Metadata& meta = input.pod.meta;
  const auto looked_up = [](const std::map<std::string, std::string>& map, const std::string& key) {
    const auto found = map.find(key);
    return found == map.end() ? std::string() : found->second;
  };
  const auto first = [&](const std::vector<std::string>& addresses) -> base::Result<std::string> {
    if (addresses.empty())
      return base::fail(base::Errc::FailedPrecondition, path + " is not known yet");
    return addresses.front();
  };
  if (path == "metadata.name") return meta.name;
  if (path == "metadata.namespace") return meta.name_space;
  if (path == "metadata.uid") return meta.uid;
  if (path == "metadata.labels") return all_lines(meta.labels);
  if (path == "metadata.annotations") return all_lines(meta.annotations);
  if (const auto key = subscript(path, "metadata.labels")) return looked_up(meta.labels, *key);
  if (const auto key = subscript(path, "metadata.annotations"))
    return looked_up(meta.annotations, *key);
  if (path == "spec.nodeName") return input.node_name;
  if (path == "spec.serviceAccountName")
    return text(input.pod.spec(), "serviceAccountName", "default");
  if (path == "status.hostIP") return first(input.node_addresses);
  if (path == "status.hostIPs") return fmt::format("{}", fmt::join(input.node_addresses, ","));
  if (path == "status.podIP") return first(input.addresses);
  if (path == "status.podIPs") return fmt::format("{}", fmt::join(input.addresses, ","));
  return base::fail(base::Errc::Unsupported, fmt::format("fieldPath \"{}\" is not served", path));
}

base::Result<std::string> resource_value(const PodConfigInput& input, const Json& reference,
                                         const Container* container) {
  if (const std::string named = text(reference, "containerName"); !named.empty()) {
    container = input.pod.container(named);
  }
  if (container == nullptr)
    return base::fail(base::Errc::InvalidArgument, "resourceFieldRef names no container");
  const std::string resource = text(reference, "resource");
  const std::size_t dot = resource.find('.');
  const Json& amounts = at(at(*container->json, "resources"), resource.substr(0, dot));
  const Json* amount = find(amounts, dot == std::string::npos ? "" : resource.substr(dot + 1));
  // Without a limit it is what the node has; a program that asks gets "no bound" as 0.
  manifest::Quantity value, divisor = manifest::Quantity::whole(1);
  if (amount != nullptr) {
    TRY(value, manifest::Quantity::parse(amount->is_string() ? amount->get<std::string>()
                                                             : amount->dump()));
  }
  if (const Json* given = find(reference, "divisor")) {
    TRY(auto read,
        manifest::Quantity::parse(given->is_string() ? given->get<std::string>() : given->dump()));
    if (!read.is_zero()) divisor = read;
  }
  // Both are at most whole cores or bytes with thousandths: the quotient of thousandths is exact
  // enough.
  if (divisor < manifest::Quantity::whole(1)) {
    const std::int64_t unit = std::max<std::int64_t>(1, divisor.millis());
    return std::to_string((value.millis() + unit - 1) / unit);
  }
  const std::int64_t unit = divisor.value();
  return std::to_string((value.value() + unit - 1) / unit);
}

base::Result<std::map<std::string, std::string>> config_entries(const PodConfigInput& input,
                                                                const std::string& kind,
                                                                const std::string& name,
                                                                bool optional) {
  std::map<std::string, std::string> entries;
  const ObjectPtr object = input.view.find({kind, input.pod.meta.name_space, name});
  if (object == nullptr) {
    if (optional) return entries;
    return base::fail(base::Errc::NotFound, fmt::format("{} \"{}\" does not exist in namespace {}",
                                                        kind, name, input.pod.meta.name_space));
  }
  const bool secret = kind == "Secret";
  for (const auto& [member, encoded] : {std::pair("data", secret), std::pair("binaryData", true)}) {
    for (auto& [key, value] : text_map(object->json, member)) {
      if (!encoded) {
        entries[key] = value;
        continue;
      }
      std::string packed = value;
      std::erase_if(packed, [](char c) { return c == '\n' || c == '\r'; });
      auto decoded = base::from_base64(packed);
      if (!decoded) {
        return base::fail(base::Errc::InvalidArgument,
                          fmt::format("{} \"{}\": {} is no base64", kind, name, key));
      }
      entries[key] = std::string(base::as_text(*decoded));
    }
  }
  return entries;
}

base::Result<std::vector<std::pair<std::string, std::string>>> environment(
    const PodConfigInput& input, const Container& container) {
  Environment out;
  TRY_DO(add_whole_objects(input, container, out));
  for (const Json& variable : items(*container.json, "env")) {
    const std::string name = text(variable, "name");
    const Json* source = find(variable, "valueFrom");
    if (source == nullptr) {
      out.set(name, expand(text(variable, "value"), out.values()));
      continue;
    }
    TRY(auto value, variable_value(input, container, *source));
    if (value) out.set(name, std::move(*value));
  }
  return std::move(out).take();
}

std::string expand(std::string_view written, const std::map<std::string, std::string>& variables) {
  std::string out;
  for (std::size_t i = 0; i < written.size(); ++i) {
    if (written[i] != '$' || i + 1 == written.size()) {
      out += written[i];
      continue;
    }
    if (written[i + 1] == '$') {
      out += '$';
      ++i;
      continue;
    }
    const std::size_t end = written[i + 1] == '(' ? written.find(')', i) : std::string_view::npos;
    if (end == std::string_view::npos) {
      out += '$';
      continue;
    }
    const std::string name(written.substr(i + 2, end - i - 2));
    const auto found = variables.find(name);
    out += found == variables.end() ? std::string(written.substr(i, end - i + 1)) : found->second;
    i = end;
  }
  return out;
}

}  // namespace nexus::orchestration
