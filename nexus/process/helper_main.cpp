// hypermesh-process: what a program of a pod is started through. Started by ProcessWorkloadDriver.
//
//   hypermesh-process supervise FOLDER   runs a container until it ends
//   hypermesh-process run PARENT         becomes a command beside one, that dies with its PARENT

#include <fcntl.h>

#include <charconv>
#include <cstring>

#include "process/become.hpp"
#include "process/supervisor.hpp"

int main(int argc, char** argv) {
  using namespace nexus::process;
  if (argc != 3) return 2;
  for (const int fd : {kLaunchFd, kReportFd, kLockFd}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  const std::string_view mode(argv[1]), argument(argv[2]);
  if (mode == "supervise") return supervise(Path(argument));
  std::int32_t parent = 0;
  std::from_chars(argument.data(), argument.data() + argument.size(), parent);
  if (mode != "run" || parent == 0) return 2;
  const auto launch = read_launch();
  if (!launch) {
    report({EINVAL, launch.error().describe()});
    return 1;
  }
  become(*launch, parent);
}
