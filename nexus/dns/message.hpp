#pragma once

// DNS messages (RFC 1035 section 4, EDNS RFC 6891).

#include <base/bytes.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace nexus::dns {

enum class Type : std::uint16_t {
  A = 1,
  Ns = 2,
  Cname = 5,
  Soa = 6,
  Ptr = 12,
  Txt = 16,
  Aaaa = 28,
  Srv = 33,
  Opt = 41,
  Any = 255
};
enum class Rcode : std::uint8_t {
  NoError = 0,
  FormErr = 1,
  ServFail = 2,
  NxDomain = 3,
  NotImp = 4,
  Refused = 5,
  BadVers = 16
};

/// "AAAA", or "TYPE65" for types without a name here (RFC 3597).
std::string type_name(std::uint16_t type);
base::Result<std::uint16_t> parse_type(std::string_view name);

inline constexpr std::size_t kHeaderBytes = 12;
inline constexpr std::size_t kPlainUdpBytesMax = 512;  ///< Without EDNS.
inline constexpr std::size_t kUdpBytesMax =
    1232;  ///< What we send at most: no fragments (DNS flag day 2020).
inline constexpr std::size_t kTcpBytesMax = 65535;

/// A question as it was asked.
struct Query {
  std::uint16_t id = 0;
  bool recursion_desired = false;
  std::string name;  ///< Wire form, as spelled by the client.
  std::string key;   ///< The same in lower case.
  std::uint16_t type = 0, dns_class = 0;
  std::size_t question_bytes = 0;  ///< Of the question section, which is echoed.
  struct Edns {
    std::uint16_t udp_bytes_max = 0;
    std::uint8_t version = 0;
    bool dnssec_ok = false;
  };
  std::optional<Edns> edns;
};

/// Either a question, or the code to refuse it with. Messages that deserve no answer (too short to
/// name an id, or answers themselves) have neither.
struct ParsedQuery {
  std::optional<Query> query;
  std::optional<Rcode> refuse;
};
ParsedQuery parse_query(base::BytesView message);

struct ResourceRecord {
  std::string name;  ///< Wire form.
  std::uint16_t type = 0, dns_class = 0;
  std::uint32_t ttl_seconds = 0;
  std::string data;  ///< Presentation form for known types, else RFC 3597 "\# n hex".
};
struct Response {
  std::uint16_t id = 0;
  Rcode rcode = Rcode::NoError;
  bool authoritative = false, truncated = false, recursion_available = false;
  std::vector<ResourceRecord> answers, authority, additional;
};

inline constexpr std::size_t kRecordsMax = 2000;  ///< In one response that we read.

base::Bytes build_query(std::uint16_t id, const std::string& wire_name, std::uint16_t type);
/// Errors: DataLoss (names the offset).
base::Result<Response> parse_response(base::BytesView message);

/// An answer's addresses and aliases, ready to be written into another message.
struct AliasRecord {
  std::string name;  ///< Wire form.
  std::uint16_t type = 0;
  std::uint32_t ttl_seconds = 0;
  std::string data;  ///< Wire form, names uncompressed.
};
inline constexpr std::size_t kAliasRecordsMax = 64;
/// Errors: DataLoss.
base::Result<std::vector<AliasRecord>> read_alias_records(base::BytesView message);

}  // namespace nexus::dns
