#pragma once

// The keeper's socket: frames in, requests to the Keeper, replies and events out.

#include <deque>
#include <memory>

#include "runtime/core/keeper_protocol.hpp"
#include "runtime/keeper/keeper.hpp"

namespace hypermesh::keeper {

inline constexpr std::size_t kConnectionsMax = 16;
inline constexpr std::size_t kOutgoingBytesMax =
    64u << 20;  ///< Waiting for one client; then it is cut off.
inline constexpr std::size_t kRequestsAtOnceMax = 4096;  ///< Of one client.

struct ServerOptions {
  std::string socket_path;
  uid_t client_uid = 0;  ///< Who besides root may speak to the keeper.
  gid_t client_gid = 0;
};

class Server final : public EventOutlet {
 public:
  /// `loop` is borrowed. Clients are accepted once serve() is called.
  Server(ServerOptions options, Loop& loop, base::Log log);
  ~Server() override;

  /// Listens. `keeper` is borrowed. Errors: FailedPrecondition (another keeper answers at the
  /// path).
  base::Result<> serve(Keeper& keeper);
  /// Called once all that a PowerOff wanted is done and answered.
  void on_power_off(std::function<void()> call) { power_off_ = std::move(call); }
  void close();

  void tell_all(const Event& event) override;
  void tell(ConnectionId connection, std::uint64_t session, const SessionEnded& event) override;

 private:
  struct Connection;
  base::Result<> give_socket();
  void accept_clients();
  void on_ready(const std::shared_ptr<Connection>& connection, std::uint32_t events);
  bool read_some(Connection& connection);
  bool next_frame(const std::shared_ptr<Connection>& connection);
  bool take_frame(const std::shared_ptr<Connection>& connection, const FrameHeader& header,
                  base::BytesView body);
  bool greet(Connection& connection, base::BytesView body);
  Job<void> serve_request(std::shared_ptr<Connection> connection, std::uint64_t id, Request request,
                          std::vector<UniqueFd> fds);
  void send(Connection& connection, FrameKind kind, std::uint64_t id, const base::Bytes& body,
            std::vector<UniqueFd> fds);
  void flush(Connection& connection);
  void drop(Connection& connection, std::string_view why);

  ServerOptions options_;
  Loop& loop_;
  base::Log log_;
  Keeper* keeper_ = nullptr;
  UniqueFd listener_;
  std::map<ConnectionId, std::shared_ptr<Connection>> connections_;
  ConnectionId next_connection_ = 1;
  std::uint64_t incarnation_;
  std::function<void()> power_off_;
};

}  // namespace hypermesh::keeper
