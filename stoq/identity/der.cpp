#include "identity/der.hpp"

namespace stoq {

using base::Errc;
using base::fail;
using base::Result;

namespace {

constexpr std::size_t kLengthBytesMax = 3;
constexpr std::uint8_t kLongTag = 0x1f, kLongLength = 0x80;

}  // namespace

Result<DerReader::Element> DerReader::next() {
  if (rest_.size() < 2 || (rest_[0] & kLongTag) == kLongTag)
    return fail(Errc::NotVerified, "the certificate is not X.509");
  std::size_t header = 2, length = rest_[1];
  if ((length & kLongLength) != 0) {
    const std::size_t count = length & ~std::size_t{kLongLength};
    if (count == 0 || count > kLengthBytesMax || rest_.size() < header + count)
      return fail(Errc::NotVerified, "the certificate is not X.509");
    length = 0;
    for (std::size_t i = 0; i < count; ++i) length = length << 8 | rest_[header + i];
    // One value has one encoding.
    if (length < kLongLength || length >> (8 * (count - 1)) == 0)
      return fail(Errc::NotVerified, "the certificate is not X.509");
    header += count;
  }
  if (rest_.size() - header < length) return fail(Errc::NotVerified, "the certificate is cut off");
  const Element found{rest_[0], rest_.subspan(header, length), rest_.first(header + length)};
  rest_ = rest_.subspan(header + length);
  return found;
}

Result<DerReader::Element> DerReader::next(std::uint8_t tag) {
  TRY(const auto found, next());
  if (found.tag != tag) return fail(Errc::NotVerified, "the certificate is not X.509");
  return found;
}

}  // namespace stoq
