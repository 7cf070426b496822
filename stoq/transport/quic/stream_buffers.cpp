#include "transport/quic/stream_buffers.hpp"

#include <algorithm>
#include <base/error.hpp>

namespace stoq::quic {

void SendBuffer::append(base::Bytes block) {
  if (block.empty()) return;
  end_ += block.size();
  blocks_.push_back(std::move(block));
}

void SendBuffer::append(base::BytesView bytes) {
  while (!bytes.empty()) {
    if (blocks_.empty() || blocks_.back().size() == blocks_.back().capacity()) {
      blocks_.emplace_back().reserve(std::max(kSharedBlockBytes, bytes.size()));
    }
    base::Bytes& block = blocks_.back();
    const auto part = bytes.first(std::min(bytes.size(), block.capacity() - block.size()));
    block.insert(block.end(), part.begin(), part.end());
    end_ += part.size();
    bytes = bytes.subspan(part.size());
  }
}

std::size_t SendBuffer::gather(std::span<base::BytesView> pieces, std::size_t bytes_max) const {
  std::size_t count = 0, skip = sent_in_block_;
  for (std::size_t i = sent_block_; i < blocks_.size() && count < pieces.size() && bytes_max > 0;
       ++i) {
    const auto rest = base::BytesView(blocks_[i]).subspan(skip);
    skip = 0;
    if (rest.empty()) continue;
    pieces[count] = rest.first(std::min(rest.size(), bytes_max));
    bytes_max -= pieces[count].size();
    ++count;
  }
  return count;
}

void SendBuffer::sent(std::uint64_t count) {
  BASE_ASSERT(count <= unsent(), "only what there is can be sent");
  sent_ += count;
  sent_in_block_ += count;
  while (sent_block_ < blocks_.size() && sent_in_block_ >= blocks_[sent_block_].size()) {
    // A last block may still grow.
    if (sent_block_ + 1 == blocks_.size()) break;
    sent_in_block_ -= blocks_[sent_block_].size();
    ++sent_block_;
  }
}

void SendBuffer::acknowledged(std::uint64_t offset) {
  BASE_ASSERT(offset <= sent_, "only what was sent can be acknowledged");
  begin_ = std::max(begin_, offset);
  while (!blocks_.empty() && first_offset_ + blocks_.front().size() <= begin_) {
    if (sent_block_ == 0) {
      // The last block, sent to its end.
      sent_in_block_ = 0;
    } else {
      --sent_block_;
    }
    first_offset_ += blocks_.front().size();
    blocks_.pop_front();
  }
}

void SendBuffer::rewind() {
  BASE_ASSERT(begin_ == 0, "what has arrived is not sent again");
  sent_ = 0;
  sent_block_ = sent_in_block_ = 0;
}

void SendBuffer::clear() {
  blocks_.clear();
  begin_ = sent_ = end_;
  first_offset_ = end_;
  sent_block_ = sent_in_block_ = 0;
}

void ReceiveBuffer::append(base::BytesView bytes) {
  size_ += bytes.size();
  if (!blocks_.empty()) {
    base::Bytes& last = blocks_.back();
    if (last.size() + bytes.size() <= kBlockBytes) {
      last.insert(last.end(), bytes.begin(), bytes.end());
      return;
    }
  }
  blocks_.emplace_back(bytes.begin(), bytes.end());
}

base::Bytes ReceiveBuffer::take() {
  if (blocks_.empty()) return {};
  base::Bytes block = std::move(blocks_.front());
  blocks_.pop_front();
  size_ -= block.size();
  return block;
}

void ReceiveBuffer::clear() {
  blocks_.clear();
  size_ = 0;
}

}  // namespace stoq::quic
