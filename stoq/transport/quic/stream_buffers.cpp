#include "transport/quic/stream_buffers.hpp"

#include <algorithm>
#include <base/error.hpp>

namespace stoq::quic {

void SendBuffer::append(base::Bytes block) {
  if (block.empty()) return;
  end_ += block.size();
  blocks_.push_back({std::move(block), nullptr});
}

void SendBuffer::append(std::shared_ptr<const base::Bytes> block) {
  if (block->empty()) return;
  end_ += block->size();
  blocks_.push_back({{}, std::move(block)});
}

void SendBuffer::append(base::BytesView bytes) {
  while (!bytes.empty()) {
    if (blocks_.empty() || blocks_.back().room() == 0) add_block(bytes.size());
    Block& block = blocks_.back();
    const auto part = bytes.first(std::min(bytes.size(), block.room()));
    block.own.insert(block.own.end(), part.begin(), part.end());
    end_ += part.size();
    bytes = bytes.subspan(part.size());
  }
}

void SendBuffer::add_block(std::size_t bytes) {
  if (!blocks_.empty() && !spare_.empty()) {
    blocks_.push_back({std::move(spare_.back()), nullptr});
    spare_.pop_back();
    return;
  }
  // A request alone takes what it needs; who goes on gets whole blocks.
  blocks_.emplace_back().own.reserve(
      blocks_.size() == 1 ? std::clamp(bytes, kFirstBlockBytes, kBlockBytes) : kBlockBytes);
}

void SendBuffer::drop_first_block() {
  Block& first = blocks_.front();
  first_offset_ += first.bytes().size();
  if (!first.shared && first.own.capacity() == kBlockBytes && spare_.size() < kSpareMax) {
    spare_.push_back(std::move(first.own));
    spare_.back().clear();
  }
  blocks_.pop_front();
  if (blocks_.empty()) spare_.clear();
}

std::size_t SendBuffer::gather(std::span<base::BytesView> pieces, std::size_t bytes_max) const {
  std::size_t count = 0, skip = sent_in_block_;
  for (std::size_t i = sent_block_; i < blocks_.size() && count < pieces.size() && bytes_max > 0;
       ++i) {
    const auto rest = blocks_[i].bytes().subspan(skip);
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
  while (sent_block_ < blocks_.size()) {
    const std::size_t size = blocks_[sent_block_].bytes().size();
    // A last block may still grow.
    if (sent_in_block_ < size || sent_block_ + 1 == blocks_.size()) break;
    sent_in_block_ -= size;
    ++sent_block_;
  }
}

void SendBuffer::acknowledged(std::uint64_t offset) {
  BASE_ASSERT(offset <= sent_, "only what was sent can be acknowledged");
  begin_ = std::max(begin_, offset);
  while (!blocks_.empty() && first_offset_ + blocks_.front().bytes().size() <= begin_) {
    if (sent_block_ == 0) {
      // The last block, sent to its end.
      sent_in_block_ = 0;
    } else {
      --sent_block_;
    }
    drop_first_block();
  }
}

void SendBuffer::rewind() {
  BASE_ASSERT(begin_ == 0, "what has arrived is not sent again");
  sent_ = 0;
  sent_block_ = sent_in_block_ = 0;
}

void SendBuffer::clear() {
  blocks_.clear();
  spare_.clear();
  begin_ = sent_ = end_;
  first_offset_ = end_;
  sent_block_ = sent_in_block_ = 0;
}

void ReceiveBuffer::append(base::BytesView bytes) {
  size_ += bytes.size();
  if (!blocks_.empty()) {
    base::Bytes& last = blocks_.back();
    if (last.size() + bytes.size() <= kBlockBytes) {
      // The second piece shows that more will come: room for it all at once.
      if (last.capacity() < last.size() + bytes.size()) last.reserve(kBlockBytes);
      last.insert(last.end(), bytes.begin(), bytes.end());
      return;
    }
    blocks_.emplace_back().reserve(kBlockBytes);
    blocks_.back().assign(bytes.begin(), bytes.end());
    return;
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
