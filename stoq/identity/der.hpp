#pragma once

#include <base/bytes.hpp>

namespace stoq {

/// What stands before an Ed25519 seed in PKCS #8 (RFC 8410, section 7).
inline constexpr std::uint8_t kEd25519Pkcs8[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                                 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};

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
