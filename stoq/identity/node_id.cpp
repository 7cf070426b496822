#include <fmt/format.h>

#include <algorithm>
#include <stoq/types.hpp>

namespace stoq {

base::Result<NodeId> NodeId::parse(std::string_view text) {
  TRY(const base::Bytes bytes, base::from_base32(text));
  NodeId id;
  if (bytes.size() != id.bytes.size()) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("a node id has {} bytes, this one has {}", id.bytes.size(), bytes.size()));
  }
  std::copy(bytes.begin(), bytes.end(), id.bytes.begin());
  return id;
}

}  // namespace stoq
