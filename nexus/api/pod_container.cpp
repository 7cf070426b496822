// Which container of a pod is meant.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "api/handlers.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

constexpr const char* kDefaultContainerAnnotation = "kubectl.kubernetes.io/default-container";

bool truth(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

std::string annotated_default(const Json& pod) {
  const auto annotations = pod.at("metadata").find("annotations");
  if (annotations == pod.at("metadata").end() || !annotations->is_object()) return {};
  const auto found = annotations->find(kDefaultContainerAnnotation);
  return found != annotations->end() && found->is_string() ? found->get<std::string>()
                                                           : std::string();
}

}  // namespace

Reply<PodContainer> find_container(const Exchange& exchange, const std::string& wanted) {
  const Route& route = exchange.route;
  const ObjectPtr pod = exchange.backend().objects.find({"Pod", route.name_space, route.name});
  if (pod == nullptr) {
    Refusal refusal(base::make_error(
        base::Errc::NotFound,
        fmt::format("pod {} does not exist in namespace {}", route.name, route.name_space)));
    refusal.resource = "pods";
    refusal.name = route.name;
    return std::unexpected(std::move(refusal));
  }
  std::vector<const Json*> ordinary, all;
  for (const char* list : {"containers", "initContainers"}) {
    const auto found = pod->json.at("spec").find(list);
    if (found == pod->json.at("spec").end() || !found->is_array()) continue;
    for (const Json& container : *found) {
      all.push_back(&container);
      if (std::string_view(list) == "containers") ordinary.push_back(&container);
    }
  }
  std::vector<std::string> names;
  for (const Json* container : all) names.push_back(container->value("name", ""));
  std::string name = wanted;
  if (name.empty()) name = annotated_default(pod->json);
  if (name.empty() && ordinary.size() == 1) name = ordinary.front()->value("name", "");
  if (name.empty()) {
    return bad_request(fmt::format("pod {} has several containers; one must be named: {}",
                                   route.name, fmt::join(names, ", ")));
  }
  const auto at = std::ranges::find(names, name);
  if (at == names.end()) {
    return bad_request(fmt::format("pod {} has no container {}; it has {}", route.name, name,
                                   fmt::join(names, ", ")));
  }
  const Json& container = *all[static_cast<std::size_t>(at - names.begin())];
  return PodContainer{pod,
                      {pod->json.at("metadata").value("uid", ""), name},
                      truth(container, "tty"),
                      truth(container, "stdin")};
}

}  // namespace nexus::api
