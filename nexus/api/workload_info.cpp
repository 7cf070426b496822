// Workloads as people ask about them: ps, why, history.

#include <fmt/format.h>

#include <map>

#include "api/handlers.hpp"
#include "api/options.hpp"
#include "api/store_view.hpp"
#include "objects/object.hpp"
#include "orchestration/event_log.hpp"
#include "orchestration/views.hpp"
#include "orchestration/why.hpp"

namespace nexus::api {
namespace {

// First process of the first container of each pod, by uid. Without the driver's answer there are
// none.
base::Task<std::map<std::string, std::vector<ContainerStatus>>> running_containers(
    WorkloadDriver& driver) {
  std::map<std::string, std::vector<ContainerStatus>> found;
  auto pods = co_await driver.list_pods();
  if (pods) {
    for (PodStatus& pod : *pods) found[pod.uid] = std::move(pod.containers);
  }
  co_return found;
}

std::int32_t first_pid(const Json& pod,
                       const std::map<std::string, std::vector<ContainerStatus>>& running) {
  const auto found = running.find(pod.at("metadata").value("uid", ""));
  const auto& containers = pod.at("spec").at("containers");
  if (found == running.end() || !containers.is_array() || containers.empty()) return 0;
  const std::string first = containers[0].value("name", "");
  for (const ContainerStatus& status : found->second) {
    if (status.id.name == first && status.state == ContainerState::Running) return status.pid;
  }
  return 0;
}

std::string last_line_of(base::Result<std::optional<LogRecord>> record) {
  return record && *record ? (*record)->text : std::string();
}

// The last thing that the container said before it ended. Empty when nobody knows.
base::Task<std::string> last_words(WorkloadDriver& driver,
                                   const orchestration::CrashedContainer& crashed) {
  LogQuery query;
  query.container = {crashed.pod_uid, crashed.container};
  query.previous = crashed.previous;
  query.tail_lines = 1;
  auto reader = co_await driver.logs(std::move(query));
  if (!reader) co_return std::string();
  co_return last_line_of(co_await (*reader)->next());
}

}  // namespace

base::Task<Reply<>> list_pod_rows(Exchange& exchange) {
  const Query& query = exchange.query();
  const std::string name_space(query.get("namespace")), name(query.get("name"));
  CO_TRY(const ListOptions options, parse_list_options("Pod", query));
  const auto running = co_await running_containers(exchange.backend().driver);
  Json items = Json::array();
  bool found = name.empty();
  for (const auto& [key, pod] : exchange.backend().objects.all("Pod")) {
    if (!name_space.empty() && key.name_space != name_space) continue;
    if (!name.empty() && key.name != name) continue;
    if (!options.selection.matches(pod->json)) continue;
    found = true;
    items.push_back(
        orchestration::to_json(orchestration::pod_row(pod->json, first_pid(pod->json, running))));
  }
  if (!found) {
    co_return refuse(base::Errc::NotFound,
                     fmt::format("pod {} does not exist{}{}", name,
                                 name_space.empty() ? "" : " in namespace ", name_space),
                     "hm ps lists all");
  }
  const Json body = {
      {"kind", "PodRowList"},
      {"apiVersion", "hypermesh.io/v1"},
      {"metadata", {{"resourceVersion", std::to_string(exchange.backend().objects.revision())}}},
      {"items", std::move(items)}};
  co_return co_await exchange.answer(200, body);
}

base::Task<Reply<>> explain_why(Exchange& exchange) {
  CO_TRY(const manifest::KindInfo* kind, manifest::resolve_kind(exchange.route.parameter));
  const ObjectRef ref{std::string(kind->kind), kind->namespaced ? exchange.route.name_space : "",
                      exchange.route.name};
  const StoreView view(exchange.backend().objects);
  orchestration::WhyInput input;
  input.view = &view;
  input.events = &exchange.backend().events;
  input.now = exchange.backend().clock.wall();
  if (const auto crashed = orchestration::crashed_container(ref, view)) {
    input.last_line = co_await last_words(exchange.backend().driver, *crashed);
  }
  CO_TRY(const orchestration::WhyAnswer answer, orchestration::why(ref, input));
  co_return co_await exchange.answer(200, orchestration::to_json(answer));
}

}  // namespace nexus::api
