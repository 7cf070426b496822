#include "runtime/client/keeper_client.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <base/async/timeout.hpp>

namespace hypermesh {
namespace {

using base::Errc;
namespace asio = base::asio;

constexpr auto kRetryFirst = std::chrono::milliseconds(20);
constexpr auto kRetryMax = std::chrono::seconds(1);
constexpr auto kGreetingLimit = std::chrono::seconds(10);
/// A call that finds no connection waits this long for one: a keeper that was just started anew.
constexpr auto kReconnectWait = std::chrono::seconds(5);

}  // namespace

base::Task<base::Result<int>> SessionEnd::wait() {
  while (!over) co_await changed.wait();
  changed.notify();
  co_return result;
}

KeeperClient::KeeperClient(const base::Executor& executor, std::string socket_path, base::Log log)
    : executor_(executor),
      path_(std::move(socket_path)),
      log_(std::move(log)),
      scope_(executor),
      outgoing_changed_(executor),
      connection_changed_(executor) {
  scope_.spawn(run());
}

KeeperClient::~KeeperClient() = default;

base::Task<> KeeperClient::stop() {
  stopping_ = true;
  lose(base::make_error(Errc::Unavailable, "the connection to the keeper was closed"));
  scope_.cancel();
  co_await scope_.join();
}

base::Task<> KeeperClient::run() {
  base::Duration retry = kRetryFirst;
  while (!stopping_) {
    auto connected =
        co_await base::with_timeout(connect(), kGreetingLimit, "the keeper's greeting");
    if (connected) {
      retry = kRetryFirst;
      auto ended = co_await read_frames();
      if (stopping_) co_return;
      const base::Error why =
          ended ? base::make_error(Errc::Unavailable, "the keeper closed the connection")
                : ended.error();
      log_.warning("the connection to the keeper is lost", {{"error", why}});
      lose(why);
    } else {
      last_error_ = connected.error();
      socket_.reset();
      connection_changed_.notify();
    }
    co_await base::sleep_for(retry);
    retry = std::min<base::Duration>(retry * 2, kRetryMax);
  }
}

base::Task<base::Result<>> KeeperClient::connect() {
  CO_TRY(UniqueFd fd, connect_unix(path_, false));
  auto socket = std::make_shared<asio::posix::stream_descriptor>(executor_, fd.release());
  socket_ = socket;
  reader_ = FrameReader();
  keeper::Hello hello;
  hello.client = "hypermeshd";
  FrameWriter greeting(keeper::FrameKind::Hello, 0, keeper::encode_hello(hello), {});
  for (;;) {
    CO_TRY(const bool done, greeting.write(socket->native_handle()));
    if (done) break;
    co_await socket->async_wait(asio::posix::stream_descriptor::wait_write, base::use_result);
  }
  for (;;) {
    CO_TRY(std::optional<Frame> frame, reader_.next());
    if (!frame) {
      CO_TRY(const bool more, reader_.read(socket->native_handle()));
      if (!more)
        co_await socket->async_wait(asio::posix::stream_descriptor::wait_read, base::use_result);
      continue;
    }
    if (frame->header.kind == keeper::FrameKind::Welcome) {
      CO_TRY(keeper::Welcome welcome, keeper::decode_welcome(frame->body));
      const bool new_keeper = was_connected_ && welcome.incarnation != welcome_.incarnation;
      welcome_ = std::move(welcome);
      connected_ = true;
      scope_.spawn(write_frames(socket));
      connection_changed_.notify();
      if (connection_listener_) connection_listener_(true, new_keeper);
      was_connected_ = true;
      co_return base::Result<>{};
    }
    CO_TRY(const keeper::Reply reply, keeper::decode_reply(frame->body));
    if (const auto* failed = std::get_if<keeper::Failed>(&reply))
      co_return std::unexpected(failed->error);
    co_return base::fail(Errc::Internal, "the keeper did not greet");
  }
}

base::Task<base::Result<>> KeeperClient::read_frames() {
  const auto socket = socket_;
  for (;;) {
    CO_TRY(std::optional<Frame> frame, reader_.next());
    if (frame) {
      CO_TRY_DO(take(*std::move(frame)));
      continue;
    }
    CO_TRY(const bool more, reader_.read(socket->native_handle()));
    if (more) continue;
    auto [error] =
        co_await socket->async_wait(asio::posix::stream_descriptor::wait_read, base::use_result);
    if (error) co_return std::unexpected(base::from_system_error(error, "the keeper's socket"));
  }
}

base::Task<> KeeperClient::write_frames(std::shared_ptr<asio::posix::stream_descriptor> socket) {
  while (socket == socket_) {
    if (outgoing_.empty()) {
      co_await outgoing_changed_.wait();
      continue;
    }
    const auto done = outgoing_.front().write(socket->native_handle());
    if (!done) {
      // The reader learns of it as well and begins anew.
      socket->cancel();
      co_return;
    }
    if (*done) {
      outgoing_.pop_front();
      continue;
    }
    auto [error] =
        co_await socket->async_wait(asio::posix::stream_descriptor::wait_write, base::use_result);
    if (error) co_return;
  }
}

base::Result<> KeeperClient::take(Frame frame) {
  if (frame.header.kind == keeper::FrameKind::Reply) {
    const auto found = pending_.find(frame.header.id);
    TRY(keeper::Reply reply, keeper::decode_reply(frame.body));
    if (found == pending_.end()) {
      // Its caller gave up: nobody would ever end what was begun for it.
      if (const auto* session = std::get_if<keeper::SessionOpened>(&reply);
          session && session->session)
        close_session(session->session);
      return {};
    }
    auto pending = std::move(found->second);
    pending_.erase(found);
    if (auto* failed = std::get_if<keeper::Failed>(&reply)) {
      pending->answer.emplace(std::unexpected(std::move(failed->error)));
    } else {
      // The session's end may be in the next frame already: it must have somewhere to go.
      std::shared_ptr<SessionEnd> end;
      if (const auto* session = std::get_if<keeper::SessionOpened>(&reply);
          session && session->session) {
        end = std::make_shared<SessionEnd>(executor_);
        sessions_[session->session] = end;
      }
      pending->answer.emplace(Answer{std::move(reply), std::move(frame.fds), std::move(end)});
    }
    pending->changed.notify();
    return {};
  }
  if (frame.header.kind != keeper::FrameKind::Event)
    return base::fail(Errc::DataLoss, "an unexpected frame");
  TRY(keeper::Event event, keeper::decode_event(frame.body));
  if (const auto* driver = std::get_if<nexus::DriverEvent>(&event)) {
    for (const auto& weak : watches_) {
      const auto watch = weak.lock();
      if (watch && driver->kind == nexus::DriverEvent::Kind::ContainerExited &&
          driver->container.id == watch->id)
        watch->exit_codes[driver->container.attempt] = driver->container.exit_code;
    }
    if (listener_) listener_(*driver);
    return {};
  }
  const auto found = sessions_.find(frame.header.id);
  if (found == sessions_.end()) return {};
  auto end = std::move(found->second);
  sessions_.erase(found);
  const auto& ended = std::get<keeper::SessionEnded>(event);
  if (ended.error.empty()) {
    end->result = ended.exit_code;
  } else {
    end->result = base::fail(Errc::FailedPrecondition, ended.error);
  }
  end->over = true;
  end->changed.notify();
  return {};
}

void KeeperClient::lose(const base::Error& why) {
  const bool was = std::exchange(connected_, false);
  last_error_ = why;
  if (socket_) {
    boost::system::error_code ignored;
    socket_->close(ignored);
  }
  socket_.reset();
  outgoing_.clear();
  outgoing_changed_.notify();
  for (auto& [id, pending] : std::exchange(pending_, {})) {
    pending->answer.emplace(
        std::unexpected(base::make_error(Errc::Unavailable, "the connection to the keeper broke")));
    pending->changed.notify();
  }
  for (auto& [id, end] : std::exchange(sessions_, {})) {
    end->result = base::fail(Errc::Unavailable, "the connection to the keeper broke");
    end->over = true;
    end->changed.notify();
  }
  connection_changed_.notify();
  if (was && !stopping_ && connection_listener_) connection_listener_(false, false);
}

base::Task<base::Result<>> KeeperClient::ready(base::Duration limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!connected_) {
    const auto left = end - std::chrono::steady_clock::now();
    if (stopping_ || left <= base::Duration::zero()) {
      if (last_error_) co_return std::unexpected(*last_error_);
      co_return base::fail(Errc::Unavailable, "the keeper does not answer");
    }
    (void)co_await connection_changed_.wait_for(left);
  }
  co_return base::Result<>{};
}

base::Task<base::Result<KeeperClient::Answer>> KeeperClient::ask(keeper::Request request,
                                                                 std::vector<UniqueFd> fds) {
  if (!connected_) CO_TRY_DO(co_await ready(kReconnectWait));
  const base::Bytes body = keeper::encode_request(request);
  if (body.size() + keeper::kFrameHeaderBytes > keeper::kFrameBytesMax) {
    co_return base::fail(
        Errc::ResourceExhausted,
        fmt::format("{} of {} bytes is too large for the keeper; at most {}",
                    keeper::name_of(request), body.size(), keeper::kFrameBytesMax));
  }
  const std::uint64_t id = next_id_++;
  const auto pending = std::make_shared<Pending>(executor_);
  pending_[id] = pending;
  outgoing_.emplace_back(keeper::FrameKind::Request, id, body, std::move(fds));
  outgoing_changed_.notify();
  // A caller that is cancelled forgets its call; the keeper goes on with it.
  struct Forget {
    KeeperClient& client;
    std::uint64_t id;
    ~Forget() { client.pending_.erase(id); }
  } const forget{*this, id};
  while (!pending->answer) co_await pending->changed.wait();
  co_return std::move(*pending->answer);
}

base::Task<base::Result<KeeperClient::Session>> KeeperClient::open_session(
    keeper::Request request) {
  CO_TRY(Answer answer, co_await ask(std::move(request)));
  const auto* opened = std::get_if<keeper::SessionOpened>(&answer.reply);
  if (!opened) co_return base::fail(Errc::Internal, "the keeper opened no session");
  co_return Session{opened->session, opened->attempt, std::move(answer.fds), std::move(answer.end)};
}

std::shared_ptr<const KeeperClient::ContainerEnds> KeeperClient::watch_ends(nexus::ContainerId id) {
  std::erase_if(watches_, [](const auto& weak) { return weak.expired(); });
  auto watch = std::make_shared<ContainerEnds>(std::move(id));
  watches_.push_back(watch);
  return watch;
}

void KeeperClient::close_session(std::uint64_t id) {
  if (!connected_ || stopping_) return;
  scope_.spawn([](KeeperClient& client, std::uint64_t session) -> base::Task<> {
    (void)co_await client.ask(keeper::CloseSession{session});
  }(*this, id));
}

base::Task<base::Result<LayerRecord>> KeeperClient::unpack(UnpackRequest request) {
  UniqueFd blob(::open(request.blob_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!blob) co_return base::fail_errno(errno, fmt::format("cannot open {}", request.blob_path));
  keeper::InstallLayer install{request.diff_id.hex(), {}};
  for (const auto& parent : request.parents) install.parents.push_back(parent.text());
  std::vector<UniqueFd> fds;
  fds.push_back(std::move(blob));
  CO_TRY(const keeper::LayerReply reply,
         co_await ask_for<keeper::LayerReply>(std::move(install), std::move(fds)));
  co_return decode_layer_record(reply.record);
}

base::Task<base::Result<std::vector<LayerRecord>>> KeeperClient::list() {
  CO_TRY(const keeper::LayersReply reply,
         co_await ask_for<keeper::LayersReply>(keeper::ListLayers{}));
  std::vector<LayerRecord> records;
  for (const auto& bytes : reply.records) {
    CO_TRY(LayerRecord record, decode_layer_record(bytes));
    records.push_back(std::move(record));
  }
  co_return records;
}

base::Task<base::Result<std::uint64_t>> KeeperClient::remove(LayerId id) {
  CO_TRY(const keeper::BytesFreed freed,
         co_await ask_for<keeper::BytesFreed>(keeper::RemoveLayer{id.text()}));
  co_return freed.bytes;
}

}  // namespace hypermesh
