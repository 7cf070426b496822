#include "output/receipt.hpp"

#include <fmt/format.h>

namespace cli {

std::string render_receipt(const Receipt& receipt) {
  return fmt::format("receipt {}  log {}…  signed by {}/{}   (hm audit verify {})",
                     receipt.sequence, receipt.root.substr(0, 4), receipt.signatures,
                     receipt.signers, receipt.sequence);
}

}  // namespace cli
