#pragma once

#include <base/async/event.hpp>
#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "runtime/client/frame_socket.hpp"
#include "runtime/images/layer_unpacker.hpp"

namespace hypermesh {

/// How a session (an exec, a copy) ended, for whoever waits for it.
struct SessionEnd {
  explicit SessionEnd(const base::Executor& executor) : changed(executor) {}
  bool over = false;
  base::Result<int> result =
      0;  ///< Exit code; or why it could not do its work, or that the keeper was lost.
  base::Event changed;

  base::Task<base::Result<int>> wait();
};

/// The daemon's connection to its keeper. Connects again by itself when it breaks; many calls may
/// be under way.
///
/// Used from one executor. Call stop() before destruction.
class KeeperClient final : public LayerUnpacker {
 public:
  struct Answer {
    keeper::Reply reply;
    std::vector<UniqueFd> fds;
    std::shared_ptr<SessionEnd> end;  ///< Where the reply opened a session.
  };
  /// Begins to connect at once.
  KeeperClient(const base::Executor& executor, std::string socket_path, base::Log log);
  ~KeeperClient() override;
  base::Task<> stop();

  /// Resumes once connected. Errors: Unavailable or Unsupported (after `limit`; the last
  /// attempt's).
  base::Task<base::Result<>> ready(base::Duration limit);
  bool connected() const { return connected_; }
  /// Of the present or the last connection.
  const keeper::Welcome& welcome() const { return welcome_; }

  /// Waits up to some seconds for a connection that is just coming back. Errors: the keeper's;
  /// Unavailable when the connection breaks meanwhile (the work may have been done: ask again).
  base::Task<base::Result<Answer>> ask(keeper::Request request, std::vector<UniqueFd> fds = {});
  /// The same where the reply must be a T.
  template <class T>
  base::Task<base::Result<T>> ask_for(keeper::Request request, std::vector<UniqueFd> fds = {}) {
    CO_TRY(Answer answer, co_await ask(std::move(request), std::move(fds)));
    if (auto* wanted = std::get_if<T>(&answer.reply)) co_return std::move(*wanted);
    co_return base::fail(base::Errc::Internal, "the keeper answered with something else");
  }
  /// How attempts of a container ended, as long as somebody holds it.
  struct ContainerEnds {
    nexus::ContainerId id;
    std::map<std::uint32_t, int> exit_codes;  ///< By attempt.
  };
  std::shared_ptr<const ContainerEnds> watch_ends(nexus::ContainerId id);
  /// A call whose reply opens a session; its end is told through the result.
  struct Session {
    std::uint64_t id = 0;
    std::uint32_t attempt = 0;  ///< keeper::SessionOpened::attempt
    std::vector<UniqueFd> fds;
    std::shared_ptr<SessionEnd> end;
  };
  base::Task<base::Result<Session>> open_session(keeper::Request request);
  /// Ends it, soon; nobody waits for that.
  void close_session(std::uint64_t id);

  /// Every event of a container, on the executor.
  void on_event(std::function<void(const nexus::DriverEvent&)> listener) {
    listener_ = std::move(listener);
  }
  /// Called with true after connecting, false after losing the connection. `new_keeper`: not the
  /// one of before.
  void on_connection(std::function<void(bool connected, bool new_keeper)> listener) {
    connection_listener_ = std::move(listener);
  }

  base::TaskScope& scope() { return scope_; }
  const base::Executor& executor() const { return executor_; }

  // LayerUnpacker.
  base::Task<base::Result<LayerRecord>> unpack(UnpackRequest request) override;
  base::Task<base::Result<std::vector<LayerRecord>>> list() override;
  base::Task<base::Result<std::uint64_t>> remove(LayerId id) override;

 private:
  struct Pending {
    explicit Pending(const base::Executor& executor) : changed(executor) {}
    std::optional<base::Result<Answer>> answer;
    base::Event changed;
  };
  base::Task<> run();
  base::Task<base::Result<>> connect();
  base::Task<base::Result<>> read_frames();
  base::Task<> write_frames(std::shared_ptr<base::asio::posix::stream_descriptor> socket);
  base::Result<> take(Frame frame);
  void lose(const base::Error& why);

  const base::Executor executor_;
  const std::string path_;
  base::Log log_;
  base::TaskScope scope_;
  std::shared_ptr<base::asio::posix::stream_descriptor> socket_;
  FrameReader reader_;
  std::deque<FrameWriter> outgoing_;
  base::Event outgoing_changed_, connection_changed_;
  bool connected_ = false, stopping_ = false, was_connected_ = false;
  std::optional<base::Error> last_error_;
  keeper::Welcome welcome_;
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, std::shared_ptr<Pending>> pending_;
  std::map<std::uint64_t, std::shared_ptr<SessionEnd>> sessions_;
  std::vector<std::weak_ptr<ContainerEnds>> watches_;
  std::function<void(const nexus::DriverEvent&)> listener_;
  std::function<void(bool, bool)> connection_listener_;
};

}  // namespace hypermesh
