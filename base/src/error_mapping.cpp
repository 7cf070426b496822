#include <array>
#include <base/error_mapping.hpp>

namespace base {
namespace {

struct Row {
  Errc code;
  int exit;
  int http;
  std::uint8_t rpc;
  std::string_view reason;
};

constexpr std::array kRows = {
    Row{Errc::Internal, 1, 500, 13, "InternalError"},
    Row{Errc::Cancelled, 1, 499, 1, "Cancelled"},
    Row{Errc::InvalidArgument, 2, 422, 3, "Invalid"},
    Row{Errc::NotFound, 3, 404, 5, "NotFound"},
    Row{Errc::AlreadyExists, 9, 409, 6, "AlreadyExists"},
    Row{Errc::Conflict, 9, 409, 10, "Conflict"},
    Row{Errc::Unauthenticated, 6, 401, 16, "Unauthorized"},
    Row{Errc::Forbidden, 6, 403, 7, "Forbidden"},
    Row{Errc::FailedPrecondition, 1, 412, 9, "FailedPrecondition"},
    Row{Errc::Unsupported, 1, 501, 12, "NotImplemented"},
    Row{Errc::ResourceExhausted, 1, 429, 8, "TooManyRequests"},
    Row{Errc::Unavailable, 1, 503, 14, "ServiceUnavailable"},
    Row{Errc::TimedOut, 5, 504, 4, "Timeout"},
    Row{Errc::DataLoss, 1, 500, 15, "DataLoss"},
    Row{Errc::CannotPlace, 4, 409, 32, "PlacementFailed"},
    Row{Errc::NoQuorum, 7, 503, 33, "NoQuorum"},
    Row{Errc::NotVerified, 8, 422, 34, "NotVerified"},
};

const Row& row(Errc code) {
  for (const Row& row : kRows) {
    if (row.code == code) return row;
  }
  return kRows.front();
}

}  // namespace

int exit_code(Errc code) {
  return row(code).exit;
}
int http_status(Errc code) {
  return row(code).http;
}
std::string_view status_reason(Errc code) {
  return row(code).reason;
}
std::uint8_t rpc_status(Errc code) {
  return row(code).rpc;
}

Errc errc_of_http_status(int status) {
  switch (status) {
    case 405:
      return Errc::Unsupported;
    case 408:
      return Errc::TimedOut;
    case 410:
      return Errc::FailedPrecondition;
    case 400:
    case 413:
    case 415:
      return Errc::InvalidArgument;
    default:
      break;
  }
  // The first row wins: 409 is Conflict unless the body's reason says otherwise.
  if (status == 409) return Errc::Conflict;
  for (const Row& row : kRows) {
    if (row.http == status) return row.code;
  }
  return Errc::Internal;
}

Errc errc_of_rpc_status(std::uint8_t status) {
  for (const Row& row : kRows) {
    if (row.rpc == status) return row.code;
  }
  return Errc::Internal;
}

}  // namespace base
