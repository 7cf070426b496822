#include "api/scale.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "manifest/label_selector.hpp"

namespace nexus::api {
namespace {

constexpr std::int64_t kReplicasMax = 1'000'000;

const Json& part(const Json& object, const char* name) {
  static const Json kNothing = Json::object();
  const auto found = object.find(name);
  return found != object.end() && found->is_object() ? *found : kNothing;
}

}  // namespace

Json scale_of(const Json& object) {
  const Json& metadata = part(object, "metadata");
  const Json& spec = part(object, "spec");
  Json scale = {{"kind", "Scale"},
                {"apiVersion", "autoscaling/v1"},
                {"metadata", Json::object()},
                {"spec", {{"replicas", spec.value("replicas", Json(1))}}},
                {"status", {{"replicas", part(object, "status").value("replicas", Json(0))}}}};
  for (const char* name : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    if (metadata.contains(name)) scale["metadata"][name] = metadata[name];
  }
  if (const auto selector = manifest::LabelSelector::from_object(part(spec, "selector"))) {
    scale["status"]["selector"] = selector->text();
  }
  return scale;
}

Reply<Json> with_scale(const Json& object, const Json& scale) {
  if (!scale.is_object() || scale.value("kind", Json("Scale")) != "Scale") {
    return bad_request(
        R"(the body is not a Scale: {"kind":"Scale","apiVersion":"autoscaling/v1","spec":{"replicas":3}})");
  }
  const Json replicas = part(scale, "spec").value("replicas", Json(0));
  if (!replicas.is_number_integer() || replicas.get<std::int64_t>() < 0 ||
      replicas.get<std::int64_t>() > kReplicasMax) {
    return refuse(base::Errc::InvalidArgument,
                  fmt::format("spec.replicas is {}; must be a whole number from 0 to {}",
                              replicas.dump(), kReplicasMax));
  }
  Json next = object;
  next["spec"]["replicas"] = replicas;
  if (const auto version = part(scale, "metadata").find("resourceVersion");
      version != part(scale, "metadata").end()) {
    next["metadata"]["resourceVersion"] = *version;
  }
  return next;
}

}  // namespace nexus::api
