#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cli {

/// What the cluster gives for a write: its place in the audit log and who signed that.
struct Receipt {
  std::uint64_t sequence = 0;
  std::string root;  ///< Of the log's tree, hexadecimal.
  std::uint32_t signatures = 0;
  std::uint32_t signers = 0;
};

/// "receipt 1842  log b7c1…  signed by 1/1   (hm audit verify 1842)"
std::string render_receipt(const Receipt& receipt);

}  // namespace cli
