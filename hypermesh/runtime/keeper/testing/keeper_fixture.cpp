#include "runtime/keeper/testing/keeper_fixture.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "runtime/core/cri_log.hpp"

namespace hypermesh::keeper::testing {
namespace {

namespace fs = std::filesystem;

constexpr auto kPatience = std::chrono::seconds(60);

std::size_t count_open_files() {
  return static_cast<std::size_t>(std::ranges::distance(fs::directory_iterator("/proc/self/fd")));
}

void chown_tree(const fs::path& top, uid_t owner) {
  ASSERT_EQ(::lchown(top.c_str(), owner, owner), 0);
  for (const auto& entry : fs::recursive_directory_iterator(top))
    ASSERT_EQ(::lchown(entry.path().c_str(), owner, owner), 0);
}

}  // namespace

void KeeperFixture::SetUpTestSuite() {
  static bool done = false;
  if (std::exchange(done, true)) return;
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0) << "this test needs root";
  ASSERT_EQ(::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr), 0);
  ASSERT_TRUE(hide_hybrid_cgroups());
}

void KeeperFixture::SetUp() {
  char name[] = "/tmp/hypermesh-keeper-test-XXXXXX";
  ASSERT_NE(::mkdtemp(name), nullptr);
  ASSERT_EQ(::chmod(name, 0711), 0);
  scratch_ = name;
  options_.state_folder = scratch_ + "/state";
  options_.run_folder = scratch_ + "/run";
  options_.cgroup = fmt::format("/hypermesh-test-{}", ::getpid());
  options_.unpacker_path = PROJECT_BINARY_DIR "/bin/hypermesh-unpack";
  options_.copier_path = PROJECT_BINARY_DIR "/bin/hypermesh-copy";
  options_.access = {.host_users = true, .privileged = true, .host_paths = {scratch_}};
  ASSERT_TRUE(make_folder(options_.state_folder, 0711));
  open_files_ = count_open_files();
  open_keeper();
  std::map<std::string, std::string> files{
      {"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:web:/srv:/bin/sh\n"},
      {"etc/group", "root:x:0:\nstaff:x:50:web\n"},
      {"proc/.keep", ""},
      {"mnt/.keep", ""},
      {"tmp/.keep", ""},
      {"srv/page", "hello"}};
  for (const char* tool :
       {"sh",    "cat",      "echo",     "sleep",  "id",   "dd",     "ls",    "mount",
        "kill",  "true",     "false",    "env",    "stty", "tty",    "wc",    "touch",
        "mkdir", "hostname", "head",     "yes",    "grep", "mkfifo", "httpd", "stat",
        "trap",  "ip",       "readlink", "tail",   "rm",   "df",     "tr",    "mknod",
        "ps",    "seq",      "test",     "ulimit", "pwd",  "chmod",  "ln"}) {
    files[std::string("bin/") + tool] = "-> busybox";
  }
  files["bin/busybox"] = "=/bin/busybox";
  busybox_layer_ = make_layer(files);
}

void KeeperFixture::open_keeper() {
  keeper_.reset();
  loop_.reset();
  auto loop = Loop::open();
  ASSERT_TRUE(loop) << loop.error().describe();
  loop_ = *std::move(loop);
  auto keeper =
      Keeper::open(options_, *loop_, clock_, network_, outlet_, base::Log(sink_, "keeper"));
  ASSERT_TRUE(keeper) << keeper.error().describe() << " "
                      << fmt::format("{}", fmt::join(keeper.error().hints, "; "));
  keeper_ = *std::move(keeper);
}

void KeeperFixture::replace_keeper() {
  open_keeper();
}

void KeeperFixture::shut_down(base::Duration grace) {
  run([](Keeper& keeper, base::Duration limit) -> Job<bool> {
    co_await keeper.shut_down(limit);
    co_return true;
  }(*keeper_, grace));
}

void KeeperFixture::TearDown() {
  if (keeper_) shut_down();
  keeper_.reset();
  loop_.reset();
  EXPECT_EQ(count_open_files(), open_files_);
  EXPECT_EQ(traces(), std::vector<std::string>{});
  const auto removed = remove_tree(scratch_);
  EXPECT_TRUE(removed) << removed.error().describe();
}

base::Error KeeperFixture::error_of(Request request) {
  Answer answer = ask(std::move(request));
  if (auto* failed = std::get_if<Failed>(&answer.reply)) {
    failed->error.message = failed->error.describe();
    return failed->error;
  }
  ADD_FAILURE() << "an error was expected";
  return {};
}

void KeeperFixture::until(const std::function<bool()>& condition) {
  const base::MonotonicTime end = clock_.now() + kPatience;
  while (!condition()) {
    if (clock_.now() > end) {
      FAIL() << "it did not happen in time";
    }
    loop_->after(std::chrono::milliseconds(2), [this] { loop_->stop_once(); });
    loop_->run();
  }
}

nexus::PodSpec KeeperFixture::pod_spec(const std::string& uid) {
  nexus::PodSpec spec;
  spec.uid = uid;
  spec.name_space = "default";
  spec.name = "web";
  return spec;
}

StartContainer KeeperFixture::container(std::vector<std::string> args, const std::string& name,
                                        std::uint32_t attempt, const std::string& uid) {
  StartContainer start;
  start.spec.id = {uid, name};
  start.spec.attempt = attempt;
  start.spec.image = "test/busybox:1";
  start.image.layers = {busybox_layer_};
  start.image.args = std::move(args);
  start.image.env = {"PATH=/bin"};
  return start;
}

nexus::ContainerStatus KeeperFixture::status_of(const std::string& name, const std::string& uid) {
  for (const auto& pod : ask_for<std::vector<nexus::PodStatus>>(ListPods{})) {
    for (const auto& status : pod.containers) {
      if (status.id == nexus::ContainerId{uid, name}) return status;
    }
  }
  ADD_FAILURE() << "no container " << name;
  return {};
}

nexus::ContainerStatus KeeperFixture::wait_for_exit(const std::string& name,
                                                    const std::string& uid) {
  until([&] {
    return std::ranges::any_of(outlet_.events, [&](const nexus::DriverEvent& event) {
      return event.kind == nexus::DriverEvent::Kind::ContainerExited &&
             event.container.id == nexus::ContainerId{uid, name};
    });
  });
  return status_of(name, uid);
}

std::string KeeperFixture::log_of(const std::string& name, std::uint32_t attempt,
                                  const std::string& uid) {
  std::ifstream file(fmt::format("{}/{}/{}/{}.log", keeper_->log_folder(), uid, name, attempt));
  std::string text;
  for (std::string line; std::getline(file, line);) {
    const auto record = parse_log_record(line);
    EXPECT_TRUE(record) << line;
    if (record)
      text += (record->is_stderr ? "stderr:" : "") + record->text + (record->partial ? "\\" : "\n");
  }
  return text;
}

std::string KeeperFixture::read_to_end(int fd) {
  std::string text;
  EXPECT_TRUE(set_nonblocking(fd));
  for (;;) {
    char buffer[4096];
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
    if (count == 0 || (count < 0 && errno != EAGAIN)) return text;
    if (count < 0 && !run(loop_->ready(fd, EPOLLIN, kPatience))) return text + "<nothing came>";
  }
}

std::pair<int, std::string> KeeperFixture::exec(std::vector<std::string> command,
                                                const std::string& name) {
  Answer answer = ask(Exec{{{"pod-1", name}, std::move(command), false, false, 24, 80}});
  if (const auto* failed = std::get_if<Failed>(&answer.reply))
    return {-1, failed->error.describe()};
  const std::uint64_t session = std::get<SessionOpened>(answer.reply).session;
  std::string output = read_to_end(answer.fds[0].get());
  output += read_to_end(answer.fds[1].get());
  until([&] { return outlet_.ended.contains(session); });
  return {outlet_.ended[session].exit_code, output};
}

std::vector<std::string> KeeperFixture::traces() const {
  std::vector<std::string> found;
  std::ifstream mounts("/proc/self/mounts");
  for (std::string line; std::getline(mounts, line);) {
    if (line.find(scratch_) != line.npos) found.push_back(line);
  }
  for (const auto& hierarchy : fs::directory_iterator("/sys/fs/cgroup")) {
    if (fs::exists(hierarchy.path().string() + options_.cgroup))
      found.push_back(hierarchy.path().string() + options_.cgroup);
  }
  return found;
}

std::string KeeperFixture::make_layer(const std::map<std::string, std::string>& files) {
  static unsigned number = 0;
  const std::string id = fmt::format("{:064x}", ++number);
  const fs::path top = options_.state_folder + "/layers/" + id + "/fs";
  for (const auto& [path, content] : files) {
    fs::create_directories((top / path).parent_path());
    if (content.starts_with("-> ")) {
      fs::create_symlink(content.substr(3), top / path);
    } else if (content.starts_with("=")) {
      fs::copy_file(content.substr(1), top / path);
    } else {
      std::ofstream(top / path) << content;
    }
  }
  if (files.contains("tmp/.keep"))
    fs::permissions(top / "tmp", fs::perms::all | fs::perms::sticky_bit, fs::perm_options::replace);
  chown_tree(top, options_.id_base);
  return id;
}

}  // namespace hypermesh::keeper::testing
