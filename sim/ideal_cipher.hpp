#pragma once

#include "at_rest/record_cipher.hpp"
#include "sim/mark.hpp"

namespace sim {

/// Records in the clear, with a mark that shows every change and every other place.
class IdealCipher final : public hypermesh::at_rest::RecordCipher {
 public:
  base::Bytes seal(base::BytesView plain, base::BytesView context) override {
    base::Bytes sealed(plain.begin(), plain.end());
    const Mark mark = mixed(mixed(0, plain), context);
    for (int shift = 0; shift < 64; shift += 8)
      sealed.push_back(static_cast<std::uint8_t>(mark >> shift));
    return sealed;
  }
  base::Result<base::Bytes> open(base::BytesView sealed, base::BytesView context) const override {
    if (sealed.size() >= 8) {
      const auto plain = sealed.first(sealed.size() - 8);
      Mark mark = 0;
      for (int i = 7; i >= 0; --i)
        mark = mark << 8 | sealed[plain.size() + static_cast<std::size_t>(i)];
      if (mark == mixed(mixed(0, plain), context)) return base::Bytes(plain.begin(), plain.end());
    }
    return base::fail(base::Errc::NotVerified, "a changed record, or one of another place");
  }
};

}  // namespace sim
