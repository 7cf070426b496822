#pragma once

#include <base/error.hpp>
#include <base/time.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace base::http {

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;  ///< IP literals.
  WallTime not_before{};
  WallTime not_after{};
};
struct KeyedCertificate {
  std::string certificate_pem;
  std::string key_pem;  ///< PKCS#8, not encrypted.
};

/// A self-signed server certificate with a new ECDSA P-256 key.
/// Errors: InvalidArgument (an address that is none), Internal (OpenSSL).
Result<KeyedCertificate> make_self_signed(const CertificateRequest& request);

struct CertificateFacts {
  WallTime not_after{};
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;  ///< As written by inet_ntop.
};
/// Errors: InvalidArgument (not a certificate).
Result<CertificateFacts> read_certificate(std::string_view pem);

}  // namespace base::http
