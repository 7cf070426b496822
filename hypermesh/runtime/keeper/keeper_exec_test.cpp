#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "runtime/keeper/testing/keeper_fixture.hpp"

namespace hypermesh::keeper {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

const nexus::ContainerId kMain{"pod-1", "main"};

class KeeperExecTest : public testing::KeeperFixture {
 protected:
  void SetUp() override {
    KeeperFixture::SetUp();
    if (HasFatalFailure()) return;
    ask_for<nexus::PodStatus>(CreatePod{pod_spec()});
  }
  void start_sleeper() { ask_for<nexus::ContainerStatus>(script("sleep 1000")); }
  int wait_for_session(std::uint64_t session) {
    until([&] { return outlet_.ended.contains(session); });
    return outlet_.ended[session].exit_code;
  }
  static void write_all(int fd, std::string_view text) {
    ASSERT_EQ(::write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
};

TEST_F(KeeperExecTest, ACommandRunsAsTheContainerDoes) {
  auto start = script("sleep 1000");
  start.image.user = "web";
  start.image.env = {"PATH=/bin", "COLOUR=green"};
  start.image.working_directory = "/srv";
  start.spec.security.capabilities_drop = {"ALL"};
  ask_for<nexus::ContainerStatus>(start);
  const auto [code, output] =
      exec({"/bin/sh", "-c",
            "id -u; pwd; echo $COLOUR; grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/self/status; cat "
            "/proc/self/cgroup; exit 9"});
  EXPECT_EQ(code, 9);
  EXPECT_THAT(output, HasSubstr("1000\n/srv\ngreen\n"));
  EXPECT_THAT(output, HasSubstr("CapBnd:\t0000000000000000"));
  EXPECT_THAT(output, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(output, HasSubstr("Seccomp:\t2"));
}

TEST_F(KeeperExecTest, ItIsInTheContainersCgroup) {
  start_sleeper();
  Answer answer = ask(Exec{{kMain, {"/bin/sleep", "1000"}, false, false, 24, 80}});
  std::ifstream file("/sys/fs/cgroup/memory" + options_.cgroup + "/pod-1/main-0/cgroup.procs");
  std::size_t processes = 0;
  for (std::string line; std::getline(file, line);) ++processes;
  EXPECT_EQ(processes, 2u);
  const std::uint64_t session = std::get<SessionOpened>(answer.reply).session;
  ask_for<Done>(CloseSession{session});
  EXPECT_EQ(wait_for_session(session), 137);
}

TEST_F(KeeperExecTest, ItsInputAndItsStreamsAreSeparate) {
  start_sleeper();
  Answer answer = ask(Exec{{kMain, {"/bin/sh", "-c", "cat; echo done >&2"}, false, true, 24, 80}});
  ASSERT_EQ(answer.fds.size(), 3u);
  write_all(answer.fds[0].get(), "typed\n");
  answer.fds[0].reset();
  EXPECT_EQ(read_to_end(answer.fds[1].get()), "typed\n");
  EXPECT_EQ(read_to_end(answer.fds[2].get()), "done\n");
  EXPECT_EQ(wait_for_session(std::get<SessionOpened>(answer.reply).session), 0);
}

TEST_F(KeeperExecTest, SignalsBecomeCodes) {
  start_sleeper();
  EXPECT_EQ(exec({"/bin/sh", "-c", "kill -TERM $$"}).first, 143);
  EXPECT_EQ(exec({"/bin/sh", "-c", "kill -KILL $$"}).first, 137);
}

TEST_F(KeeperExecTest, WhatCannotBeRunIsAnErrorWithTheRuntimesWords) {
  start_sleeper();
  const auto error = error_of(Exec{{kMain, {"/no/such/program"}, false, false, 24, 80}});
  EXPECT_EQ(error.code, base::Errc::FailedPrecondition);
  EXPECT_THAT(error.message, HasSubstr("/no/such/program"));
  ask_for<nexus::ContainerStatus>(StopContainer{kMain, {}});
  EXPECT_EQ(error_of(Exec{{kMain, {"/bin/true"}, false, false, 24, 80}}).code,
            base::Errc::FailedPrecondition);
  EXPECT_EQ(error_of(Exec{{{"pod-1", "other"}, {"/bin/true"}, false, false, 24, 80}}).code,
            base::Errc::NotFound);
  EXPECT_TRUE(outlet_.ended.empty());
}

TEST_F(KeeperExecTest, ATerminalIsOneWithItsSize) {
  start_sleeper();
  Answer answer =
      ask(Exec{{kMain,
                {"/bin/sh", "-c",
                 "tty; stty size; echo $TERM; read line; echo got $line; stty size; exit 3"},
                true,
                true,
                33,
                99}});
  ASSERT_EQ(answer.fds.size(), 1u);
  winsize size{};
  size.ws_row = 11;
  size.ws_col = 22;
  std::string text;
  EXPECT_TRUE(set_nonblocking(answer.fds[0].get()));
  const auto read_more = [&] {
    char buffer[512];
    const ssize_t count = ::read(answer.fds[0].get(), buffer, sizeof buffer);
    if (count > 0) text.append(buffer, static_cast<std::size_t>(count));
  };
  until([&] { return read_more(), text.find("xterm") != std::string::npos; });
  EXPECT_THAT(text, HasSubstr("/dev/pts/"));
  EXPECT_THAT(text, HasSubstr("33 99"));
  ASSERT_EQ(::ioctl(answer.fds[0].get(), TIOCSWINSZ, &size), 0);
  write_all(answer.fds[0].get(), "hello\n");
  until([&] { return read_more(), text.find("11 22") != std::string::npos; });
  EXPECT_THAT(text, HasSubstr("got hello"));
  EXPECT_EQ(wait_for_session(std::get<SessionOpened>(answer.reply).session), 3);
}

TEST_F(KeeperExecTest, ALostClientsCommandsEnd) {
  start_sleeper();
  Answer answer = ask(Exec{{kMain, {"/bin/sleep", "1000"}, false, false, 24, 80}});
  keeper_->connection_closed(kConnection + 1);
  EXPECT_EQ(exec({"/bin/true"}).first, 0);
  EXPECT_EQ(outlet_.ended.count(std::get<SessionOpened>(answer.reply).session), 0u);
  keeper_->connection_closed(kConnection);
  EXPECT_EQ(wait_for_session(std::get<SessionOpened>(answer.reply).session), 137);
  EXPECT_EQ(status_of().state, nexus::ContainerState::Running);
}

TEST_F(KeeperExecTest, ItsOutputCanGoToTheContainersLog) {
  start_sleeper();
  EXPECT_EQ(
      exec({"/bin/sh", "-c", "echo to-the-log >/proc/1/fd/1; echo and-errors >/proc/1/fd/2"}).first,
      0);
  until([&] { return log_of().find("errors") != std::string::npos; });
  EXPECT_THAT(log_of(), HasSubstr("to-the-log\n"));
  EXPECT_THAT(log_of(), HasSubstr("stderr:and-errors\n"));
}

// --- attach
// -----------------------------------------------------------------------------------------------

struct Attached {
  UniqueFd socket;
  std::string out, err;
  bool lagging = false, ended = false;
  void read_some() {
    char packet[kAttachDataMax + 1];
    const ssize_t count = ::recv(socket.get(), packet, sizeof packet, MSG_DONTWAIT);
    if (count == 0) ended = true;
    if (count <= 0) return;
    const std::string_view data(packet + 1, static_cast<std::size_t>(count) - 1);
    if (packet[0] == static_cast<char>(AttachFrame::Stdout)) out += data;
    if (packet[0] == static_cast<char>(AttachFrame::Stderr)) err += data;
    if (packet[0] == static_cast<char>(AttachFrame::Lagging)) lagging = true;
  }
  void send(AttachFrame kind, std::string_view data) {
    const std::string packet = static_cast<char>(kind) + std::string(data);
    ASSERT_EQ(::send(socket.get(), packet.data(), packet.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(packet.size()));
  }
};

TEST_F(KeeperExecTest, WhoIsAttachedSeesAndWritesWhatTheContainerDoes) {
  auto start = script("while read line; do echo out $line; echo err $line >&2; done; exit 6");
  start.spec.stdin_open = true;
  ask_for<nexus::ContainerStatus>(start);
  EXPECT_EQ(std::get<SessionOpened>(ask(Attach{kMain}).reply).attempt, status_of().attempt);
  Attached one{std::move(ask(Attach{kMain}).fds.at(0))},
      two{std::move(ask(Attach{kMain}).fds.at(0))};
  one.send(AttachFrame::Stdin, "first\n");
  until([&] {
    return one.read_some(), two.read_some(),
           one.err == "err first\n" && two.out == "out first\n" && !two.err.empty();
  });
  two.socket.reset();
  one.send(AttachFrame::Stdin, "second\n");
  one.send(AttachFrame::CloseStdin, "");
  EXPECT_EQ(wait_for_exit().exit_code, 6);
  until([&] { return one.read_some(), one.ended; });
  EXPECT_EQ(one.out, "out first\nout second\n");
  EXPECT_THAT(log_of(), HasSubstr("out second\n")) << "the log has it all the same";
  EXPECT_EQ(error_of(Attach{kMain}).code, base::Errc::FailedPrecondition);
}

TEST_F(KeeperExecTest, InputThatTheContainerHasNotTakenYetOutlivesItsEnd) {
  auto start = script("sleep 0.2; wc -c");
  start.spec.stdin_open = true;
  ask_for<nexus::ContainerStatus>(start);
  Attached one{std::move(ask(Attach{kMain}).fds.at(0))};
  // More than a pipe holds.
  for (int i = 0; i < 4; ++i) one.send(AttachFrame::Stdin, std::string(25'000, 'x'));
  one.send(AttachFrame::CloseStdin, "");
  EXPECT_EQ(wait_for_exit().exit_code, 0);
  EXPECT_EQ(log_of(), "100000\n");
}

TEST_F(KeeperExecTest, AContainerWithATerminalIsReadAndResized) {
  auto start = script("tty; read line; echo got $line; stty size; exit 4");
  start.spec.terminal = start.spec.stdin_open = true;
  ask_for<nexus::ContainerStatus>(start);
  Attached one{std::move(ask(Attach{kMain}).fds.at(0))};
  one.send(AttachFrame::Resize, std::string("\0\x2a\0\x54", 4));
  one.send(AttachFrame::Stdin, "x\n");
  EXPECT_EQ(wait_for_exit().exit_code, 4);
  until([&] { return one.read_some(), one.ended; });
  EXPECT_THAT(one.out, HasSubstr("got x"));
  EXPECT_THAT(one.out, HasSubstr("42 84"));
  EXPECT_THAT(log_of(), HasSubstr("/dev/pts/0"));
}

TEST_F(KeeperExecTest, AnAttachedReaderThatSleepsIsCutOffAndStopsNothing) {
  ask_for<nexus::ContainerStatus>(script(
      "sleep 0.05; yes 0123456789012345678901234567890123456789 | head -c 8000000; echo end"));
  Attached lazy{std::move(ask(Attach{kMain}).fds.at(0))};
  EXPECT_EQ(wait_for_exit().exit_code, 0);
  until([&] { return lazy.read_some(), lazy.ended; });
  EXPECT_LT(lazy.out.size(), 8'000'000u);
  EXPECT_THAT(log_of(), HasSubstr("end\n"));
}

// --- copies
// -----------------------------------------------------------------------------------------------

TEST_F(KeeperExecTest, FilesComeOutAsATarStreamAndGoIn) {
  ask_for<nexus::ContainerStatus>(
      script("mkdir -p /data/sub; echo content >/data/sub/file; ln -s sub/file /data/link; echo "
             "up; sleep 1000"));
  until([&] { return log_of() == "up\n"; });
  Answer out = ask(CopyOut{kMain, "/data"});
  ASSERT_EQ(out.fds.size(), 1u);
  const std::string tar = read_to_end(out.fds[0].get());
  EXPECT_EQ(wait_for_session(std::get<SessionOpened>(out.reply).session), 0);
  EXPECT_THAT(tar, HasSubstr("data/sub/file"));
  EXPECT_THAT(tar, HasSubstr("content\n"));

  exec({"/bin/mkdir", "/other"});
  Answer in = ask(CopyIn{kMain, "/other"});
  write_all(in.fds.at(0).get(), tar);
  in.fds[0].reset();
  EXPECT_EQ(wait_for_session(std::get<SessionOpened>(in.reply).session), 0);
  EXPECT_EQ(exec({"/bin/cat", "/other/data/link"}).second, "content\n");
}

TEST_F(KeeperExecTest, CopiesMayWhatTheContainersRootMay) {
  for (const bool dropped : {false, true}) {
    const std::string name = dropped ? "dropped" : "default";
    auto start = container(
        {"/bin/sh", "-c", "echo x >/tmp/mine; chmod 0 /tmp/mine; echo up; sleep 1000"}, name);
    if (dropped) start.spec.security.capabilities_drop = {"ALL"};
    ask_for<nexus::ContainerStatus>(start);
    until([&] { return log_of(name) == "up\n"; });
    Answer out = ask(CopyOut{{"pod-1", name}, "/tmp/mine"});
    read_to_end(out.fds.at(0).get());
    const int code = wait_for_session(std::get<SessionOpened>(out.reply).session);
    EXPECT_EQ(code != 0, dropped) << "reading it takes CAP_DAC_OVERRIDE";
  }
}

TEST_F(KeeperExecTest, CopiesHappenInsideTheContainerAndAsItsUser) {
  auto start = script("ln -s /etc/shadow /tmp/secret; echo up; sleep 1000");
  start.image.user = "web";
  ask_for<nexus::ContainerStatus>(start);
  until([&] { return log_of() == "up\n"; });
  Answer absent = ask(CopyOut{kMain, "/no/such"});
  read_to_end(absent.fds.at(0).get());
  const std::uint64_t session = std::get<SessionOpened>(absent.reply).session;
  EXPECT_NE(wait_for_session(session), 0);
  EXPECT_THAT(outlet_.ended[session].error, HasSubstr("No such file"));
  // A link to what only the machine has is copied as a link.
  Answer link = ask(CopyOut{kMain, "/tmp/secret"});
  EXPECT_THAT(read_to_end(link.fds.at(0).get()), Not(HasSubstr("root:")));
  EXPECT_EQ(wait_for_session(std::get<SessionOpened>(link.reply).session), 0);
  Answer forbidden = ask(CopyIn{kMain, "/bin"});
  write_all(forbidden.fds.at(0).get(), std::string(10'240, '\0'));
  forbidden.fds[0].reset();
  EXPECT_EQ(wait_for_session(std::get<SessionOpened>(forbidden.reply).session), 0)
      << "an empty archive";
  Answer garbage = ask(CopyIn{kMain, "/tmp"});
  write_all(garbage.fds.at(0).get(), std::string(2048, 'x'));
  garbage.fds[0].reset();
  EXPECT_NE(wait_for_session(std::get<SessionOpened>(garbage.reply).session), 0);
}

// --- sockets
// ------------------------------------------------------------------------------------------------

TEST_F(KeeperExecTest, APortOfThePodIsReachedThroughItsLoopback) {
  for (const std::string name : {"four", "six"}) {
    const std::string address = name == "four" ? "127.0.0.1:7000" : "[::1]:7000";
    ask_for<nexus::ContainerStatus>(
        container({"/bin/httpd", "-f", "-p", address, "-h", "/srv"}, name));
    Answer answer;
    until([&] {
      answer = ask(Connect{"pod-1", 7000});
      return std::holds_alternative<Done>(answer.reply);
    });
    ASSERT_EQ(answer.fds.size(), 1u);
    write_all(answer.fds[0].get(), "GET /page HTTP/1.0\r\n\r\n");
    EXPECT_THAT(read_to_end(answer.fds[0].get()), ::testing::EndsWith("hello"));
    ask_for<nexus::ContainerStatus>(StopContainer{{"pod-1", name}, {}});
  }
  EXPECT_EQ(error_of(Connect{"pod-1", 7001}).code, base::Errc::Unavailable);
  EXPECT_EQ(error_of(Connect{"pod-9", 7001}).code, base::Errc::NotFound);
}

TEST_F(KeeperExecTest, OnlyLoopbackAddressesOfTheMachineAreReached) {
  for (const char* address :
       {"10.0.0.1", "fd00::1", "0.0.0.0", "::", "::ffff:127.0.0.1", "169.254.169.254"}) {
    EXPECT_EQ(error_of(HostSocket{address, 80}).code, base::Errc::Forbidden) << address;
  }
  for (const char* address : {"localhost", "", "127.0.0.1 ", "127.1"}) {
    EXPECT_EQ(error_of(HostSocket{address, 80}).code, base::Errc::InvalidArgument) << address;
  }
}

}  // namespace
}  // namespace hypermesh::keeper
