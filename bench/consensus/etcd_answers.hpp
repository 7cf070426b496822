#pragma once

// Answers as etcd writes them, for tests.

#include <base/bytes.hpp>

#include "etcd_messages.hpp"

namespace bench {

inline base::Bytes in_frame(base::BytesView message) {
  base::ByteWriter frame;
  frame.u8(0);
  frame.sized(message);
  return std::move(frame).take();
}

inline void put_number(base::Bytes& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::uint8_t>(value | 0x80));
  out.push_back(static_cast<std::uint8_t>(value));
}

/// A field of bytes; `number` below 16.
inline void put_sized(base::Bytes& out, unsigned number, base::BytesView bytes) {
  out.push_back(static_cast<std::uint8_t>(number << 3 | 2));
  put_number(out, bytes.size());
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// The field of a ResponseHeader: a cluster, and the revision unless it is 0.
inline base::Bytes answer_header(std::uint64_t revision) {
  base::Bytes header{0x08, 0x2a};
  if (revision != 0) {
    header.push_back(0x18);
    put_number(header, revision);
  }
  base::Bytes field;
  put_sized(field, 1, header);
  return field;
}

inline base::Bytes put_answer(std::uint64_t revision) {
  return in_frame(answer_header(revision));
}

struct Pair {
  Key key;
  base::Bytes value;
  Pair(const Key& k, base::BytesView v) : key(k), value(v.begin(), v.end()) {}
};

inline base::Bytes range_answer(std::uint64_t revision, const std::vector<Pair>& pairs) {
  base::Bytes message = answer_header(revision);
  for (const Pair& pair : pairs) {
    base::Bytes kv;
    put_sized(kv, 1, base::as_bytes({pair.key.data(), pair.key.size()}));
    put_sized(kv, 5, pair.value);
    put_sized(message, 2, kv);
  }
  message.push_back(0x20);  // Their count.
  put_number(message, pairs.size());
  return in_frame(message);
}

}  // namespace bench
