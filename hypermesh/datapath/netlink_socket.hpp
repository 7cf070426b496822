#pragma once

// One netlink conversation with the kernel. Blocking; the kernel answers at once.

#include <functional>

#include "datapath/netlink_codec.hpp"
#include "datapath/unique_fd.hpp"

namespace hypermesh::datapath {

using TakeMessage = std::function<base::Result<>(const NetlinkMessage&)>;

class NetlinkSocket {
 public:
  /// Speaks to the network namespace that the calling thread is in now, and goes on doing so
  /// wherever the thread goes. `protocol` is NETLINK_ROUTE, NETLINK_NETFILTER, ...
  static base::Result<NetlinkSocket> open(int protocol);
  /// The same for the namespace that `netns` is a descriptor of. The calling thread is there for a
  /// moment.
  static base::Result<NetlinkSocket> open_in(int netns, int protocol);

  /// Sends the batch; every message is to be flagged NLM_F_ACK. All are tried; the answer is the
  /// first error, under the words of its message. The kernel undoes nothing: the caller does, by
  /// removing what it made.
  /// `take` is called for every answer that is more than an acknowledgement.
  base::Result<> send(const NetlinkBatch& batch, const TakeMessage& take = {});

  /// Sends one request flagged NLM_F_DUMP and calls `take` for each message of the answer.
  /// Errors: those of `take`; Conflict (the kernel's table changed meanwhile and the answer may
  /// miss entries).
  base::Result<> dump(const NetlinkBatch& request, const TakeMessage& take);

 private:
  explicit NetlinkSocket(UniqueFd fd) : fd_(std::move(fd)) {}
  /// Answers the sequence number of the batch's first message.
  base::Result<std::uint32_t> write(const NetlinkBatch& batch);
  base::Result<base::BytesView> read();

  UniqueFd fd_;
  /// Of the next message. Numbers of a socket do not repeat, so the answer to a request that was
  /// given up is not taken for one to a later request.
  std::uint32_t next_sequence_ = 1;
  base::Bytes buffer_;
};

}  // namespace hypermesh::datapath
