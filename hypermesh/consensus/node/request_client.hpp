#pragma once

#include <base/async/task_scope.hpp>
#include <deque>
#include <functional>
#include <map>
#include <stoq/rpc.hpp>

#include "consensus/node/frame.hpp"
#include "consensus/node/requests.hpp"

namespace hypermesh::consensus {

/// A client's stream of requests to one node. What is asked while the stream is gone waits for the
/// next one, which is opened at once. All calls are made on one executor.
class RequestClient {
 public:
  using What = decltype(Request::what);
  using Answer = decltype(Reply::what);
  using Done = std::function<void(Answer)>;

  RequestClient(const base::Executor& executor, std::unique_ptr<stoq::rpc::Caller> caller);
  ~RequestClient();

  /// `limit`: 1 ms to kLimitMsMax. Errors: those of the node; Unavailable (the stream ended: the
  /// outcome of what changes something is unknown). A node that says nothing leaves it open.
  std::uint64_t ask(What what, base::Duration limit, Done done);
  /// Its answer is not awaited any more.
  void forget(std::uint64_t id) { open_.erase(id); }
  base::Task<Answer> ask(What what, base::Duration limit);
  base::Task<> stop();

 private:
  using Stream = stoq::rpc::CallStream<Frame, Frame>;
  base::Task<> run();
  base::Task<base::Result<>> write_requests(Stream& stream);
  base::Task<base::Result<>> read_replies(Stream& stream);

  std::unique_ptr<stoq::rpc::Caller> caller_;
  base::TaskScope scope_;
  base::Event ready_;
  std::deque<base::Bytes> waiting_;
  std::map<std::uint64_t, Done> open_;
  std::uint64_t next_id_ = 1;
};

}  // namespace hypermesh::consensus
