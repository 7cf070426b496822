#pragma once

// The API of a node (docs/wire/api.md): REST in Kubernetes' shape on the listeners it is given.

#include <base/async/task_scope.hpp>
#include <base/http/server_connection.hpp>
#include <base/http/socket.hpp>
#include <memory>
#include <vector>

#include "access/token_table.hpp"
#include "api/backend.hpp"

namespace nexus::api {

/// Serves until stop(). Everything runs on `executor`; nothing blocks it.
class ApiServer {
 public:
  /// `owner`: besides root, the user who is administrator on local sockets.
  ApiServer(const base::Executor& executor, Backend backend, TokenTable tokens, std::uint32_t owner,
            Limits limits = {}, base::http::ServerLimits http_limits = {});
  /// After stop().
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  /// Answers on `listener` from now on.
  void serve(std::unique_ptr<base::http::Listener> listener);
  /// Accepts nothing more, gives answers under way Limits::stop_grace to end, then ends them.
  base::Task<> stop();

  std::size_t connections() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nexus::api
