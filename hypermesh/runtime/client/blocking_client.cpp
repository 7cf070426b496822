#include "runtime/client/blocking_client.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>

namespace hypermesh {

using base::Errc;

base::Result<> BlockingKeeperClient::send(FrameWriter frame) {
  for (;;) {
    TRY(const bool done, frame.write(socket_.get()));
    if (done) return {};
  }
}

base::Result<Frame> BlockingKeeperClient::receive() {
  for (;;) {
    TRY(std::optional<Frame> frame, reader_.next());
    if (frame) return *std::move(frame);
    TRY(const bool more, reader_.read(socket_.get()));
    // The socket blocks up to its time limit: nothing means that it passed.
    if (!more) return base::fail(Errc::TimedOut, "the keeper does not answer in time");
  }
}

base::Result<BlockingKeeperClient> BlockingKeeperClient::connect(const std::string& socket_path,
                                                                 std::string name,
                                                                 base::Duration limit) {
  TRY(UniqueFd socket, connect_unix(socket_path, true));
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(limit).count();
  const timeval wait{micros / 1'000'000, micros % 1'000'000};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  BlockingKeeperClient client(std::move(socket));
  keeper::Hello hello;
  hello.client = std::move(name);
  TRY_DO(client.send(FrameWriter(keeper::FrameKind::Hello, 0, keeper::encode_hello(hello), {})));
  TRY(const Frame frame, client.receive());
  if (frame.header.kind == keeper::FrameKind::Welcome) {
    TRY(client.welcome_, keeper::decode_welcome(frame.body));
    return client;
  }
  TRY(const keeper::Reply reply, keeper::decode_reply(frame.body));
  if (const auto* failed = std::get_if<keeper::Failed>(&reply))
    return std::unexpected(failed->error);
  return base::fail(Errc::Internal, "the keeper did not greet");
}

base::Result<BlockingKeeperClient::Answer> BlockingKeeperClient::ask(const keeper::Request& request,
                                                                     std::vector<UniqueFd> fds) {
  const std::uint64_t id = next_id_++;
  TRY_DO(send(FrameWriter(keeper::FrameKind::Request, id, keeper::encode_request(request),
                          std::move(fds))));
  for (;;) {
    TRY(Frame frame, receive());
    if (frame.header.kind == keeper::FrameKind::Event) {
      TRY(keeper::Event event, keeper::decode_event(frame.body));
      events_.emplace_back(frame.header.id, std::move(event));
      continue;
    }
    if (frame.header.kind != keeper::FrameKind::Reply || frame.header.id != id) {
      return base::fail(Errc::Internal, "the keeper answered something that was not asked");
    }
    TRY(keeper::Reply reply, keeper::decode_reply(frame.body));
    if (auto* failed = std::get_if<keeper::Failed>(&reply))
      return std::unexpected(std::move(failed->error));
    return Answer{std::move(reply), std::move(frame.fds)};
  }
}

base::Result<std::pair<std::uint64_t, keeper::Event>> BlockingKeeperClient::next_event() {
  if (events_.empty()) {
    TRY(const Frame frame, receive());
    if (frame.header.kind != keeper::FrameKind::Event)
      return base::fail(Errc::Internal, "the keeper sent no event");
    TRY(keeper::Event event, keeper::decode_event(frame.body));
    events_.emplace_back(frame.header.id, std::move(event));
  }
  auto event = std::move(events_.front());
  events_.pop_front();
  return event;
}

Connector machine_connector(std::string socket_path) {
  return [socket_path = std::move(socket_path)](const std::string& address,
                                                std::uint16_t port) -> base::Result<int> {
    constexpr auto kLimit = std::chrono::seconds(10);
    TRY(BlockingKeeperClient client,
        BlockingKeeperClient::connect(socket_path, "registry", kLimit));
    TRY(auto answer, client.ask(keeper::HostSocket{address, port}));
    if (answer.fds.size() != 1) return base::fail(Errc::Internal, "the keeper sent no socket");
    return answer.fds[0].release();
  };
}

}  // namespace hypermesh
