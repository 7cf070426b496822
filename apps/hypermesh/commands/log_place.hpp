#pragma once

// How far a log was read, to go on after a broken connection. Pure.

#include <optional>
#include <string>
#include <vector>

#include "output/json_access.hpp"

namespace cli {

/// The place of one container's log. The API gives a log from a time on (sinceTime, inclusive);
/// records of one read of the container have one time, so what came of that time is known by its
/// texts.
class LogPlace {
 public:
  /// Whether `record` is one to show; false: it was shown before the connection broke.
  bool take(const Json& record);
  /// From what time on to ask; nothing when nothing has come yet.
  std::optional<std::string> resume();

 private:
  std::string time_;                    ///< Of the last record.
  std::vector<std::size_t> latest_;     ///< Hashes of what came with that time, in their order.
  std::optional<std::size_t> again_{};  ///< How many of them have come again.
};

}  // namespace cli
