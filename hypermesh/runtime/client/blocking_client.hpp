#pragma once

#include <string>

#include "runtime/client/frame_socket.hpp"
#include "runtime/images/http_session.hpp"

namespace hypermesh {

/// Asks the keeper one thing at a time and waits for the answer: for threads of a pool and for
/// small tools.
class BlockingKeeperClient {
 public:
  /// `name` is for the keeper's log. Errors: Unavailable (no keeper), Unsupported (no common
  /// version).
  static base::Result<BlockingKeeperClient> connect(const std::string& socket_path,
                                                    std::string name, base::Duration limit);

  const keeper::Welcome& welcome() const { return welcome_; }
  struct Answer {
    keeper::Reply reply;
    std::vector<UniqueFd> fds;
  };
  /// Errors: the keeper's; Unavailable when the connection breaks, TimedOut. Events that arrive
  /// meanwhile are kept.
  base::Result<Answer> ask(const keeper::Request& request, std::vector<UniqueFd> fds = {});
  /// The next event that is not there yet, with the session it is about.
  base::Result<std::pair<std::uint64_t, keeper::Event>> next_event();

 private:
  BlockingKeeperClient(UniqueFd socket) : socket_(std::move(socket)) {}
  base::Result<Frame> receive();
  base::Result<> send(FrameWriter frame);

  UniqueFd socket_;
  FrameReader reader_;
  keeper::Welcome welcome_;
  std::uint64_t next_id_ = 1;
  std::deque<std::pair<std::uint64_t, keeper::Event>> events_;
};

/// How the images' client reaches registries on the machine's loopback from a node that has a
/// network of its own.
Connector machine_connector(std::string socket_path);

}  // namespace hypermesh
