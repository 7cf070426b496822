#include "runtime/client/process_sessions.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cstring>
#include <filesystem>
#include <thread>

namespace hypermesh {
namespace {

using keeper::FrameKind;

/// Speaks for a keeper, one frame after the other, on a thread of its own.
class Speaker {
 public:
  explicit Speaker(int fd) : fd_(fd) {}
  /// The id of the next frame.
  std::uint64_t hear() {
    base::Bytes header(keeper::kFrameHeaderBytes);
    read(header);
    const auto decoded = keeper::decode_header(header);
    EXPECT_TRUE(decoded);
    base::Bytes body(decoded ? decoded->body_bytes : 0);
    read(body);
    return decoded ? decoded->id : 0;
  }
  void say(FrameKind kind, std::uint64_t id, const base::Bytes& body, int fd = -1) {
    const auto header = keeper::encode_header({static_cast<std::uint32_t>(body.size()), kind,
                                               static_cast<std::uint8_t>(fd >= 0 ? 1 : 0), id});
    base::Bytes bytes(header.begin(), header.end());
    bytes.insert(bytes.end(), body.begin(), body.end());
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (fd >= 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* rights = CMSG_FIRSTHDR(&message);
      rights->cmsg_level = SOL_SOCKET;
      rights->cmsg_type = SCM_RIGHTS;
      rights->cmsg_len = CMSG_LEN(sizeof fd);
      std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    EXPECT_EQ(::sendmsg(fd_, &message, MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  }

 private:
  void read(base::Bytes& into) {
    if (into.empty()) return;
    EXPECT_EQ(::recv(fd_, into.data(), into.size(), MSG_WAITALL),
              static_cast<ssize_t>(into.size()));
  }
  int fd_;
};

base::Task<base::Result<int>> attach_and_wait(KeeperClient& client, nexus::ContainerId id) {
  auto ends = client.watch_ends(id);
  CO_TRY(auto session, co_await client.open_session(keeper::Attach{id}));
  const auto attached = make_attach_session(client, std::move(ends), std::move(session));
  CO_TRY(const auto output, co_await attached->read_output());
  EXPECT_FALSE(output) << "it ends at once";
  auto code = co_await attached->wait();
  co_await client.stop();
  co_return code;
}

TEST(AttachSession, TellsHowItsOwnAttemptEndedWhenTheNextOneRuns) {
  char folder[] = "/tmp/hypermesh-client-test-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/keeper.sock";
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener.get(), 1), 0);

  const nexus::ContainerId id{"pod-1", "main"};
  std::thread keeper([&] {
    const UniqueFd connection(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    Speaker speaker(connection.get());
    speaker.hear();
    keeper::Welcome welcome;
    welcome.incarnation = 1;
    speaker.say(FrameKind::Welcome, 0, keeper::encode_welcome(welcome));
    const std::uint64_t attach = speaker.hear();
    int streams[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, streams), 0);
    speaker.say(FrameKind::Reply, attach, keeper::encode_reply(keeper::SessionOpened{0, 3}),
                streams[0]);
    nexus::ContainerStatus status;
    status.id = id;
    const auto tell = [&](nexus::DriverEvent::Kind kind, std::uint32_t attempt, int code) {
      status.attempt = attempt;
      status.exit_code = code;
      speaker.say(FrameKind::Event, 0, keeper::encode_event(nexus::DriverEvent{kind, status}));
    };
    tell(nexus::DriverEvent::Kind::ContainerExited, 3, 7);
    tell(nexus::DriverEvent::Kind::ContainerStarted, 4, 0);
    ::close(streams[0]);
    ::close(streams[1]);
    // It may ask, and learns of the next attempt only; or it knows and hangs up.
    base::Bytes header(keeper::kFrameHeaderBytes);
    if (::recv(connection.get(), header.data(), header.size(), MSG_PEEK | MSG_WAITALL) !=
        static_cast<ssize_t>(header.size()))
      return;
    nexus::PodStatus pod;
    pod.uid = id.pod_uid;
    pod.containers = {status};
    speaker.say(FrameKind::Reply, speaker.hear(),
                keeper::encode_reply(std::vector<nexus::PodStatus>{pod}));
  });

  base::asio::io_context context;
  base::LogSink sink(2, base::LogSink::Format::Human);
  KeeperClient client(context.get_executor(), path, base::Log(sink, "test"));
  std::optional<base::Result<int>> code;
  base::asio::co_spawn(context, attach_and_wait(client, id),
                       [&](std::exception_ptr error, base::Result<int> result) {
                         EXPECT_FALSE(error);
                         code = std::move(result);
                       });
  context.run();
  keeper.join();
  ASSERT_TRUE(code && *code) << code->error().describe();
  EXPECT_EQ(**code, 7);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace hypermesh
