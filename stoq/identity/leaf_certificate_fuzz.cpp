// Whatever a peer shows as its certificate, it is read within its bounds and proves nothing that
// its identity has not signed.

#include <cstdlib>

#include "identity/leaf_certificate.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static stoq::IdentityVerifier verifier;
  const base::BytesView certificate(data, size);
  const auto now = *base::parse_rfc3339("2026-11-21T12:00:00Z");
  if (verifier.verify({&certificate, 1}, now)) std::abort();
  return 0;
}
