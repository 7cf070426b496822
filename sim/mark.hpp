#pragma once

// A number that stands for everything that has happened so far: cheap, and the same for equal
// histories. Not a cryptographic hash.

#include <base/bytes.hpp>
#include <cstring>

namespace sim {

using Mark = std::uint64_t;

constexpr Mark mixed(Mark mark, std::uint64_t value) {
  mark = (mark ^ value) * 0x9e3779b97f4a7c15;
  return mark ^ mark >> 29;
}

inline Mark mixed(Mark mark, base::BytesView bytes) {
  mark = mixed(mark, bytes.size());
  std::size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + i, 8);
    mark = mixed(mark, word);
  }
  std::uint64_t rest = 0;
  if (i < bytes.size()) std::memcpy(&rest, bytes.data() + i, bytes.size() - i);
  return mixed(mark, rest);
}

}  // namespace sim
