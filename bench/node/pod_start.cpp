// pod_start SOCKET LOGS-FOLDER IMAGE: reads "go" lines; for each, asks the API for a pod that
// prints a line, and prints the milliseconds from the call to the container's first byte of output,
// which carries the time at which the keeper read it. The pod is removed before the next line is
// read.

#include <unistd.h>

#include <base/time.hpp>
#include <filesystem>
#include <fstream>
#include <iostream>

#include "api.hpp"

namespace {

using namespace bench;

/// The first record of a container's log, once it is there.
std::string first_record(const std::string& file) {
  for (int look = 0; look < 100'000; ++look) {
    std::ifstream log(file);
    std::string line;
    if (std::getline(log, line) && !log.eof()) return line;
    ::usleep(200);
  }
  Api::die("no output in " + file);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) Api::die("usage: pod_start SOCKET LOGS-FOLDER IMAGE");
  Api api(argv[1]);
  const std::string logs = argv[2], image = argv[3];
  std::string line;
  for (int round = 0; std::getline(std::cin, line); ++round) {
    const std::string name = "start-" + std::to_string(::getpid()) + "-" + std::to_string(round);
    const std::string body = pod(name, image, {"echo", "started"}).dump();
    const base::WallTime asked = base::SystemClock().wall();
    const auto made = api.send({.method = "POST", .path = kPods, .body = body}, {201});
    const std::string uid = Json::parse(made.body)["metadata"]["uid"];
    const std::string record = first_record(logs + "/" + uid + "/main/0.log");
    const auto shown = base::parse_rfc3339(record.substr(0, record.find(' ')));
    if (!shown) Api::die("not a log record: " + record);
    std::printf("%.3f\n", Milliseconds(*shown - asked).count());
    std::fflush(stdout);
    const std::string path = std::string(kPods) + "/" + name;
    api.send({.method = "DELETE", .path = path}, {200, 202});
    while (api.send({.method = "GET", .path = path}, {200, 404}).status == 200) ::usleep(1000);
    while (std::filesystem::exists(logs + "/" + uid)) ::usleep(1000);
  }
  return 0;
}
