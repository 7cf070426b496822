#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "state/storage.hpp"

namespace hypermesh::state {

/// Reads through another reader, and keeps the first DataLoss that it met: who asked for a value
/// may be told of the error, but somebody has to mend what is damaged.
class NotingReader final : public Reader {
 public:
  explicit NotingReader(std::unique_ptr<Reader> reader) : reader_(std::move(reader)) {}

  base::Result<std::optional<std::string>> get(std::string_view key) const override {
    return noted(reader_->get(key));
  }
  base::Result<> scan(std::string_view from, std::string_view end,
                      const Visit& visit) const override {
    return noted(reader_->scan(from, end, visit));
  }
  std::optional<base::Error> damage() const {
    const std::scoped_lock lock(mutex_);
    return damage_;
  }

 private:
  template <class T>
  base::Result<T> noted(base::Result<T> read) const {
    if (!read && read.error().code == base::Errc::DataLoss) {
      const std::scoped_lock lock(mutex_);
      if (!damage_) damage_ = read.error();
    }
    return read;
  }

  std::unique_ptr<Reader> reader_;
  mutable std::mutex mutex_;
  mutable std::optional<base::Error> damage_;
};

}  // namespace hypermesh::state
