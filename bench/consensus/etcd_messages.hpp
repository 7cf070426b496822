#pragma once

// The few messages of etcd's v3 API that a load needs, by hand: etcdserverpb.KV's Put and Range
// (rpc.proto of etcd 3.4), in protocol buffers' encoding, in gRPC's frames (PROTOCOL-HTTP2.md:
// a byte that says whether it is compressed, the length in 4 bytes, the message).

#include "load.hpp"

namespace bench {

constexpr const char* kPutPath = "/etcdserverpb.KV/Put";
constexpr const char* kRangePath = "/etcdserverpb.KV/Range";
/// Longer answers than this are no answers to what is asked here.
constexpr std::size_t kAnswerBytesMax = 4096;

/// The frame of a PutRequest or, of a read, of a RangeRequest for one key. A range is linearizable
/// unless it asks not to be.
base::Bytes encode_request(const Operation& operation);

/// Whether `frames`, all that was answered, is the one frame that acknowledges `operation`: with a
/// revision above 0 and, of a read, its key with a value that a load wrote.
/// Errors: DataLoss, with what was found.
base::Result<> check_answer(const Operation& operation, base::BytesView frames);

}  // namespace bench
