// What pods use, from the counters of the kernel.

#include <fmt/format.h>

#include <boost/asio/steady_timer.hpp>
#include <charconv>

#include "api/handlers.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

struct Measured {
  ObjectPtr pod;
  std::chrono::steady_clock::time_point when;
  std::vector<ContainerStats> containers;
};

base::Task<std::vector<Measured>> measure(Exchange& exchange, const std::vector<ObjectPtr>& pods) {
  std::vector<Measured> all;
  for (const ObjectPtr& pod : pods) {
    auto stats =
        co_await exchange.backend().driver.stats(pod->json.at("metadata").value("uid", ""));
    // A pod that does not run here, or not any more, uses nothing.
    if (stats && !stats->empty())
      all.push_back({pod, std::chrono::steady_clock::now(), *std::move(stats)});
  }
  co_return all;
}

const ContainerStats* find_stats(const std::vector<Measured>& all, const ContainerId& id,
                                 std::chrono::steady_clock::time_point& when) {
  for (const Measured& pod : all) {
    for (const ContainerStats& stats : pod.containers) {
      if (stats.id != id) continue;
      when = pod.when;
      return &stats;
    }
  }
  return nullptr;
}

Json row(const Measured& pod, const std::vector<Measured>& before, bool rates) {
  Json containers = Json::array();
  for (const ContainerStats& stats : pod.containers) {
    Json entry = {{"name", stats.id.name},
                  {"cpuNanoseconds", stats.cpu_nanoseconds},
                  {"memoryBytes", stats.memory_bytes},
                  {"processes", stats.processes},
                  {"ioReadBytes", stats.io_read_bytes},
                  {"ioWrittenBytes", stats.io_written_bytes}};
    if (rates) {
      std::chrono::steady_clock::time_point when;
      const ContainerStats* earlier = find_stats(before, stats.id, when);
      const auto passed =
          std::chrono::duration_cast<std::chrono::nanoseconds>(pod.when - when).count();
      const bool counted =
          earlier != nullptr && passed > 0 && stats.cpu_nanoseconds >= earlier->cpu_nanoseconds;
      entry["cpuMillis"] = counted ? (stats.cpu_nanoseconds - earlier->cpu_nanoseconds) * 1000 /
                                         static_cast<std::uint64_t>(passed)
                                   : 0;
    }
    containers.push_back(std::move(entry));
  }
  const Json& metadata = pod.pod->json.at("metadata");
  return {{"namespace", metadata.value("namespace", "")},
          {"name", metadata.value("name", "")},
          {"uid", metadata.value("uid", "")},
          {"containers", std::move(containers)}};
}

}  // namespace

base::Task<Reply<>> give_top(Exchange& exchange) {
  const std::string name_space(exchange.query().get("namespace"));
  base::Duration window{0};
  if (const auto text = exchange.query().get("window"); !text.empty()) {
    // "1s" or "500ms".
    const bool millis = text.ends_with("ms");
    const std::string_view digits =
        text.substr(0, text.size() - std::min<std::size_t>(text.size(), millis ? 2 : 1));
    std::int64_t count = 0;
    const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
    if ((!millis && !text.ends_with("s")) || code != std::errc() ||
        end != digits.data() + digits.size() || count < 0 || count > 1'000'000) {
      co_return bad_request(fmt::format("window=\"{}\" is not a time such as 1s or 500ms", text));
    }
    window = millis ? base::Duration(std::chrono::milliseconds(count))
                    : base::Duration(std::chrono::seconds(count));
    if (window > exchange.shared.limits.top_window_max)
      co_return bad_request("window is longer than 10s");
  }
  std::vector<ObjectPtr> pods;
  for (const auto& [key, pod] : exchange.backend().objects.all("Pod")) {
    if (name_space.empty() || key.name_space == name_space) pods.push_back(pod);
  }
  std::vector<Measured> before;
  if (window.count() > 0) {
    before = co_await measure(exchange, pods);
    co_await base::sleep_for(window);
  }
  const std::vector<Measured> now = co_await measure(exchange, pods);
  Json items = Json::array();
  for (const Measured& pod : now) items.push_back(row(pod, before, window.count() > 0));
  const Json body = {{"kind", "TopList"},
                     {"apiVersion", "hypermesh.io/v1"},
                     {"time", base::to_rfc3339(exchange.backend().clock.wall(), 9)},
                     {"items", std::move(items)}};
  co_return co_await exchange.answer(200, body);
}

}  // namespace nexus::api
