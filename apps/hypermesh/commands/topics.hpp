#pragma once

#include <span>
#include <string_view>

namespace cli {

/// A text of `hm help TOPIC`, in the program itself.
struct Topic {
  std::string_view name;
  std::string_view summary;
  std::string_view text;
};
std::span<const Topic> all_topics();

}  // namespace cli
