#pragma once

#include <base/bytes.hpp>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace hypermesh::consensus {

/// A record's place in its log: 1 for the first one ever, then consecutive. 0 is none.
using Lsn = std::uint64_t;

/// Records that were appended and not yet written, with consecutive numbers from first() on.
class LogBatch {
 public:
  LogBatch() = default;
  explicit LogBatch(Lsn first) : first_(first) {}

  void add(std::uint8_t type, base::BytesView payload) {
    bytes_.push_back(type);
    bytes_.insert(bytes_.end(), payload.begin(), payload.end());
    ends_.push_back(bytes_.size());
  }

  bool empty() const { return ends_.empty(); }
  std::size_t size() const { return ends_.size(); }
  std::size_t bytes() const { return bytes_.size(); }
  Lsn first() const { return first_; }
  /// Type (u8) and payload: what is sealed as one record.
  base::BytesView typed(std::size_t index) const {
    const std::size_t begin = index == 0 ? 0 : ends_[index - 1];
    return base::BytesView(bytes_).subspan(begin, ends_[index] - begin);
  }

 private:
  Lsn first_ = 0;
  base::Bytes bytes_;
  std::vector<std::size_t> ends_;
};

}  // namespace hypermesh::consensus
