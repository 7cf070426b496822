#pragma once

// One client's connection to a member of etcd: gRPC over HTTP/2 in clear text, without its socket.

#include <nghttp2/nghttp2.h>

#include <functional>
#include <memory>

#include "etcd_messages.hpp"

namespace bench {

class EtcdSession {
 public:
  /// How an operation ended: acknowledged, or why it counts as failed. Must not call the session.
  using Ended = std::function<void(const Operation&, base::Result<>)>;

  /// `authority`: whom the requests name, as "127.0.0.1:2379".
  EtcdSession(std::string authority, Ended ended);
  EtcdSession(const EtcdSession&) = delete;
  EtcdSession& operator=(const EtcdSession&) = delete;
  ~EtcdSession();

  /// Errors: Unavailable (the connection takes no more requests).
  base::Result<> begin(const Operation& operation);
  /// What the member sent. Operations end within.
  /// Errors: Unavailable (the member ends the connection), DataLoss (not HTTP/2). The session is of
  /// no use afterwards; what was under way may never end.
  base::Result<> receive(base::BytesView bytes);
  /// What goes to the member next; empty if nothing does. Valid until another call.
  /// Errors: DataLoss (what was received breaks HTTP/2), as above.
  base::Result<base::BytesView> to_send();
  /// So much of to_send() went.
  void sent(std::size_t bytes);

 private:
  struct Call;
  struct Callbacks;
  struct Delete {
    void operator()(nghttp2_session* session) const { nghttp2_session_del(session); }
  };

  void end(Call& call, std::uint32_t stream_error);

  std::string authority_;
  Ended ended_;
  std::unique_ptr<nghttp2_session, Delete> session_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<Call*> idle_;  // Of calls_.
  base::Bytes outgoing_;
  std::size_t sent_ = 0;     // Of outgoing_.
  std::string farewell_;     // Why the member ends the connection.
  std::string broken_rule_;  // What nghttp2 last found wrong.
};

}  // namespace bench
