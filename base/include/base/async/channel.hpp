#pragma once

#include <base/async/event.hpp>
#include <deque>
#include <optional>

namespace base {

/// A bounded queue between tasks of one executor. A full channel holds its writers back; a closed
/// one lets readers empty it and refuses writers.
template <class T>
class Channel {
 public:
  Channel(const Executor& executor, std::size_t items_max)
      : readable_(executor), writable_(executor), items_max_(items_max) {}

  /// False when the channel is closed.
  Task<bool> send(T item) {
    while (!closed_ && items_.size() >= items_max_) co_await writable_.wait();
    if (closed_) co_return false;
    items_.push_back(std::move(item));
    readable_.notify();
    co_return true;
  }
  /// Without waiting. False when it is full or closed.
  bool try_send(T item) {
    if (closed_ || items_.size() >= items_max_) return false;
    items_.push_back(std::move(item));
    readable_.notify();
    return true;
  }
  /// Empty when the channel is closed and everything was read.
  Task<std::optional<T>> receive() {
    while (items_.empty() && !closed_) co_await readable_.wait();
    if (items_.empty()) co_return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    writable_.notify();
    if (!items_.empty()) readable_.notify();
    co_return item;
  }
  void close() {
    closed_ = true;
    readable_.notify();
    writable_.notify();
  }
  bool closed() const { return closed_; }
  std::size_t size() const { return items_.size(); }

 private:
  std::deque<T> items_;
  Event readable_, writable_;
  std::size_t items_max_;
  bool closed_ = false;
};

}  // namespace base
