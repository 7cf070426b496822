#pragma once

#include <base/async/task.hpp>
#include <base/bytes.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace nexus {

struct DnsRecord {
  std::string name;  ///< Fully qualified, lower case, without the last dot: "web.default.mesh".
  std::string type;  ///< "AAAA", "A", "SRV", "PTR", "TXT", "SOA", "NS"
  std::uint32_t ttl_seconds = 0;
  std::string data;  ///< Presentation form (RFC 1035 section 5).
  auto operator<=>(const DnsRecord&) const = default;
};

struct DnsAnswer {
  enum class Code : std::uint8_t {
    NoError = 0,
    ServFail = 2,
    NxDomain = 3,
    Refused = 5
  } code = Code::NoError;
  std::vector<DnsRecord> records;
};

/// Names of the cluster, and certificates that are worth believing only with a proof that they are
/// logged.
///
/// Implementations: Dns (names; transparency answers Unsupported). Doubles: MemoryDnsCt.
class DnsCt {
 public:
  virtual ~DnsCt() = default;
  virtual base::Task<base::Result<DnsAnswer>> resolve(std::string name, std::string type) = 0;
  /// Puts a certificate (DER) into the log; answers its index. Errors: Unsupported.
  virtual base::Task<base::Result<std::uint64_t>> log_certificate(base::Bytes certificate) = 0;
  /// Whether the certificate is in the log. Errors: NotVerified (it is not), Unsupported.
  virtual base::Task<base::Result<>> verify_certificate(base::Bytes certificate) = 0;
};

}  // namespace nexus
