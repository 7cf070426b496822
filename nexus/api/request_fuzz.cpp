// Whatever target comes: it is taken apart, routed and read as options without harm, and what was
// found obeys what handlers rely on.

#include <cstdlib>

#include "api/options.hpp"
#include "api/route.hpp"
#include "objects/object.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nexus::api;
  if (size == 0) return 0;
  static constexpr std::string_view kMethods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
  const std::string_view method = kMethods[data[0] % 5];
  const auto target = parse_target({reinterpret_cast<const char*>(data + 1), size - 1});
  if (!target) return 0;
  for (const std::string& segment : target->segments) {
    if (segment.empty() || segment == "..") std::abort();
  }
  const auto route = find_route(method, *target);
  if (route && (route->name.find('/') != std::string::npos ||
                route->name_space.find('/') != std::string::npos))
    std::abort();
  const base::WallTime now{};
  const nexus::Json object = {{"metadata", {{"name", "web"}, {"labels", {{"app", "web"}}}}}};
  if (const auto list = parse_list_options("Pod", target->query)) {
    (void)list->selection.matches(object);
    if (list->position && decode_position(encode_position(*list->position)) != list->position)
      std::abort();
  }
  (void)parse_write_options(target->query);
  (void)parse_delete_options(target->query, nullptr);
  (void)parse_log_options(target->query, now);
  (void)parse_exec_options(target->query);
  return 0;
}
