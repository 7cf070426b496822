// api_latency SOCKET fill COUNT: makes COUNT ConfigMaps.
// api_latency SOCKET measure COUNT: prints "READ-P99 WRITE-P99" in milliseconds, of COUNT calls
// each in turn.

#include <unistd.h>

#include <algorithm>
#include <functional>
#include <string_view>
#include <vector>

#include "api.hpp"

namespace {

using namespace bench;

constexpr const char* kMaps = "/api/v1/namespaces/default/configmaps";

Json map(const std::string& name, int value) {
  return {{"apiVersion", "v1"},
          {"kind", "ConfigMap"},
          {"metadata", {{"name", name}}},
          {"data", {{"value", std::to_string(value)}, {"text", std::string(200, 'x')}}}};
}

double timed(const std::function<void()>& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  return Milliseconds(std::chrono::steady_clock::now() - start).count();
}

double p99(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() * 99 / 100];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) Api::die("usage: api_latency SOCKET fill|measure COUNT");
  Api api(argv[1]);
  const int count = std::atoi(argv[3]);
  if (std::string_view(argv[2]) == "fill") {
    for (int i = 0; i < count; ++i) {
      api.send(
          {.method = "POST", .path = kMaps, .body = map("fill-" + std::to_string(i), i).dump()},
          {201, 409});
    }
    return 0;
  }
  const std::string path = std::string(kMaps) + "/measured";
  api.send({.method = "POST", .path = kMaps, .body = map("measured", 0).dump()}, {201, 409});
  std::vector<double> reads, writes;
  for (int i = 1; i <= count; ++i) {
    const std::string patch = Json{{"data", {{"value", std::to_string(i)}}}}.dump();
    writes.push_back(timed([&] {
      api.send({.method = "PATCH",
                .path = path,
                .body = patch,
                .content_type = "application/merge-patch+json"},
               {200});
    }));
    reads.push_back(timed([&] { api.get(path); }));
  }
  std::printf("%.3f %.3f\n", p99(reads), p99(writes));
  return 0;
}
