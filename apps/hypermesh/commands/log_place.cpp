#include "commands/log_place.hpp"

#include <functional>

namespace cli {

bool LogPlace::take(const Json& record) {
  const std::string time = text_at(record, {"time"});
  const std::size_t hash =
      std::hash<std::string>()(text_at(record, {"stream"}) + " " + text_at(record, {"text"}));
  if (again_ && time == time_) {
    // What stands before the first record that was shown (--tail) was not wanted.
    if (hash == latest_[*again_]) {
      ++*again_;
    } else {
      again_ = hash == latest_.front() ? 1 : 0;
    }
    if (*again_ == latest_.size()) again_.reset();
    return false;
  }
  again_.reset();
  if (time != time_) latest_.clear();
  time_ = time;
  latest_.push_back(hash);
  return true;
}

std::optional<std::string> LogPlace::resume() {
  if (latest_.empty()) return std::nullopt;
  again_ = 0;
  return time_;
}

}  // namespace cli
