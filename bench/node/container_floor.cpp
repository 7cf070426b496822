// container_floor RUNTIME BUNDLE-FOLDER: reads "go" lines; for each, does by hand what a container
// start needs and prints the milliseconds from the beginning to the container's first byte of
// output.
//
// The steps: user, network, IPC and UTS namespaces, an overlay mount, and the OCI runtime's create
// and start. Run it in a mount namespace of its own (`unshare -m`): it mounts below BUNDLE-FOLDER,
// which holds `lower/` (the root file system, owned by the mapped root) and `config.json` (which
// names the namespaces in `ns/`).

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace {

constexpr unsigned kHostId = 1000000;

[[noreturn]] void die(const std::string& what) {
  std::fprintf(stderr, "container_floor: %s: %s\n", what.c_str(), std::strerror(errno));
  std::exit(1);
}

void run(std::vector<std::string> words, int out) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  if (out >= 0) posix_spawn_file_actions_adddup2(&actions, out, 1);
  pid_t pid = 0;
  if (posix_spawnp(&pid, arguments[0], &actions, nullptr, arguments.data(), environ) != 0)
    die(words[0]);
  posix_spawn_file_actions_destroy(&actions);
  int status = 0;
  waitpid(pid, &status, 0);
  if (status != 0) die(words[0] + " " + words[1] + " failed");
}

void write_file(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, text.data(), text.size()) < 0) die(path);
  close(fd);
}

void make_namespaces(const std::string& folder) {
  int ready[2], leave[2];
  if (pipe2(ready, O_CLOEXEC) != 0 || pipe2(leave, O_CLOEXEC) != 0) die("pipe");
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0) _exit(1);
    if (write(ready[1], "x", 1) != 1 || read(leave[0], &byte, 1) < 0) _exit(1);
    _exit(0);
  }
  char byte = 0;
  if (read(ready[0], &byte, 1) != 1) die("unshare");
  const std::string proc = "/proc/" + std::to_string(child);
  const std::string map = "0 " + std::to_string(kHostId) + " 65536";
  write_file(proc + "/uid_map", map);
  write_file(proc + "/gid_map", map);
  for (const char* name : {"user", "net", "ipc", "uts"}) {
    const std::string to = folder + "/ns/" + name;
    if (mount((proc + "/ns/" + name).c_str(), to.c_str(), nullptr, MS_BIND, nullptr) != 0)
      die("bind " + to);
  }
  if (write(leave[1], "x", 1) != 1) die("pipe");
  waitpid(child, nullptr, 0);
  for (int fd : {ready[0], ready[1], leave[0], leave[1]}) close(fd);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: container_floor RUNTIME BUNDLE-FOLDER\n", stderr), 2;
  const std::string runtime = argv[1], folder = argv[2];
  for (const char* name : {"ns", "rootfs", "state"})
    std::filesystem::create_directories(folder + "/" + name);
  for (const char* name : {"user", "net", "ipc", "uts"})
    std::ofstream(folder + "/ns/" + name).close();
  std::string line;
  for (int round = 0; std::getline(std::cin, line); ++round) {
    const std::string upper = folder + "/upper" + std::to_string(round),
                      work = folder + "/work" + std::to_string(round);
    const std::string id = "floor" + std::to_string(round);
    const auto start = std::chrono::steady_clock::now();
    make_namespaces(folder);
    if (mkdir(upper.c_str(), 0755) != 0 || mkdir(work.c_str(), 0755) != 0) die(upper);
    if (chown(upper.c_str(), kHostId, kHostId) != 0 || chown(work.c_str(), kHostId, kHostId) != 0)
      die(upper);
    const std::string options =
        "lowerdir=" + folder + "/lower,upperdir=" + upper + ",workdir=" + work;
    if (mount("overlay", (folder + "/rootfs").c_str(), "overlay", 0, options.c_str()) != 0)
      die("overlay");
    int out[2];
    if (pipe2(out, O_CLOEXEC) != 0) die("pipe");
    if (fchown(out[1], kHostId, kHostId) != 0) die("fchown");
    run({runtime, "--root", folder + "/state", "create", "--bundle", folder, id}, out[1]);
    run({runtime, "--root", folder + "/state", "start", id}, -1);
    close(out[1]);
    char byte = 0;
    if (read(out[0], &byte, 1) != 1) die("the container said nothing");
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    std::printf("%.3f\n", took.count());
    std::fflush(stdout);
    close(out[0]);
    run({runtime, "--root", folder + "/state", "delete", "--force", id}, -1);
    umount2((folder + "/rootfs").c_str(), MNT_DETACH);
    for (const char* name : {"user", "net", "ipc", "uts"})
      umount2((folder + "/ns/" + name).c_str(), MNT_DETACH);
  }
  return 0;
}
