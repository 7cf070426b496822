#pragma once

#include <base/error.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace api_client {

/// One of the reasons for a refusal, e.g. one wrong field.
struct Cause {
  std::string reason;  ///< "FieldValueInvalid"
  std::string field;   ///< "spec.template.spec.volumes[0].flexVolume"; may be empty.
  std::string message;
};

/// A `Status` of the API, read back.
struct Failure {
  base::Error error;   ///< With the server's code, message and hints.
  int status = 0;      ///< HTTP
  std::string reason;  ///< "NotFound"
  std::string trace_id;
  std::vector<Cause> causes;
};

/// Reads the body of an answer of 400 and above; one that is no Status gives what its number means.
Failure failure_of(int http_status, std::string_view body);

/// Where a write stands in the audit log.
struct Receipt {
  std::uint64_t sequence = 0, tree_size = 0;
  std::string root;  ///< Hexadecimal.
  unsigned signatures = 0, voters = 0;
};
/// Of the header HyperMesh-Receipt; empty when it is not one.
std::optional<Receipt> parse_receipt(std::string_view header);

}  // namespace api_client
