#pragma once

#include "consensus/node/frame.hpp"
#include "consensus/node/replica_node.hpp"
#include "consensus/node/requests.hpp"

namespace hypermesh::consensus {

/// Answers clients' requests, over one stream each: members of the cluster only. All its calls are
/// made on the node's executor.
class RequestService {
 public:
  /// Both are borrowed; `node` outlives the server's stop(). Adds itself to `server`.
  RequestService(ReplicaNode& node, stoq::rpc::Server& server);

 private:
  struct Session;
  using SessionPtr = std::shared_ptr<Session>;
  base::Task<base::Result<>> serve(stoq::rpc::Call& call, stoq::rpc::Reader<Frame>& requests,
                                   stoq::rpc::Writer<Frame>& replies);
  static base::Task<base::Result<>> write_replies(SessionPtr session,
                                                  stoq::rpc::Writer<Frame>& replies);
  base::Task<base::Result<>> read_requests(SessionPtr session, stoq::rpc::Reader<Frame>& requests);
  void answer(const SessionPtr& session, Request request);
  template <class Find>
  void read(const SessionPtr& session, std::uint64_t id, base::Duration limit, bool local,
            Find find);
  base::Task<> copy(SessionPtr session, std::uint64_t id);
  base::Task<> changes(SessionPtr session, std::uint64_t id, base::MonotonicTime deadline,
                       ChangesRequest request);
  base::Task<> get_at(SessionPtr session, std::uint64_t id, base::MonotonicTime deadline,
                      GetRequest request);
  /// False when the time is over first.
  base::Task<bool> reaches(state::Revision revision, base::MonotonicTime deadline);
  /// `prove` adds what is asked for to the proof of the checkpoint.
  template <class R, class Prove>
  base::Task<> proven(SessionPtr session, std::uint64_t id, Epoch from, Prove prove);
  StatusReply status() const;

  ReplicaNode& node_;
};

}  // namespace hypermesh::consensus
