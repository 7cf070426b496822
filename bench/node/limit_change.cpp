// limit_change SOCKET IMAGE ROUNDS: changes a running pod's memory limit; prints for
// each round the milliseconds from the limit's being durable to its being what the kernel holds.
//
// The API answers a write once it is durable, so the answer's arrival, less what an answer needs to
// get here, is when it was. That is taken to be a whole read over the same connection, which is
// more.

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "api.hpp"

namespace {

using namespace bench;
using Clock = std::chrono::steady_clock;
namespace fs = std::filesystem;

std::string read(const fs::path& file) {
  std::ifstream in(file);
  std::string text;
  std::getline(in, text);
  return text;
}

/// memory.limit_in_bytes (version 1) or memory.max (version 2) of the pod's container.
fs::path limit_file(const std::string& uid) {
  for (const auto& entry : fs::recursive_directory_iterator("/sys/fs/cgroup")) {
    if (entry.path().filename() != uid) continue;
    for (const char* name : {"memory.limit_in_bytes", "memory.max"}) {
      if (fs::exists(entry.path() / "main-0" / name)) return entry.path() / "main-0" / name;
    }
  }
  Api::die("no memory limit of pod " + uid);
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) Api::die("usage: limit_change SOCKET IMAGE ROUNDS");
  Api api(argv[1]);
  const std::string name = "limit-" + std::to_string(::getpid());
  const std::string path = std::string(kPods) + "/" + name;
  Json object = pod(name, argv[2], {"sleep", "1000"});
  object["spec"]["containers"][0]["resources"] = {{"limits", {{"memory", "32Mi"}}}};
  const auto made = api.send({.method = "POST", .path = kPods, .body = object.dump()}, {201});
  const std::string uid = Json::parse(made.body)["metadata"]["uid"];
  while (api.get(path)["status"].value("phase", "") != "Running") ::usleep(10'000);
  const fs::path file = limit_file(uid);

  std::vector<double> answers, changes;
  for (int round = 0; round < std::atoi(argv[3]); ++round) {
    const auto asked = Clock::now();
    api.get(path);
    answers.push_back(Milliseconds(Clock::now() - asked).count());

    const std::string wanted = std::to_string((40 + round % 2) << 20);
    const Json patch = {
        {"spec",
         {{"containers",
           {{{"name", "main"}, {"resources", {{"limits", {{"memory", wanted}}}}}}}}}}};
    Clock::time_point effective;
    std::thread watcher([&] {
      while (read(file) != wanted) ::usleep(20);
      effective = Clock::now();
    });
    api.send({.method = "PATCH",
              .path = path,
              .body = patch.dump(),
              .content_type = "application/strategic-merge-patch+json"},
             {200});
    const auto durable = Clock::now();
    watcher.join();
    changes.push_back(Milliseconds(effective - durable).count());
    ::usleep(120'000);
  }
  api.send({.method = "DELETE", .path = path}, {200, 202});
  std::printf("%.3f\n", median(changes) + median(answers));
  return 0;
}
