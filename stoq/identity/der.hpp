#pragma once

#include <base/bytes.hpp>

namespace stoq {

/// Walks over DER (X.690) that strangers wrote, element by element. Views point into the input.
class DerReader {
 public:
  enum Tag : std::uint8_t {
    kInteger = 0x02,
    kBitString = 0x03,
    kOctetString = 0x04,
    kSequence = 0x30,
    kFirst = 0xa0,  ///< [0], constructed; [3] is 3 more.
  };
  struct Element {
    std::uint8_t tag;
    base::BytesView content;
    base::BytesView whole;  ///< With tag and length.
  };

  explicit DerReader(base::BytesView bytes) : rest_(bytes) {}

  bool done() const { return rest_.empty(); }
  /// Errors: NotVerified (what is there is not DER, or longer than what is left).
  base::Result<Element> next();
  /// The same for an element that must have `tag`.
  base::Result<Element> next(std::uint8_t tag);

 private:
  base::BytesView rest_;
};

}  // namespace stoq
