#include "api/status_reader.hpp"

#include <array>
#include <base/error_mapping.hpp>
#include <nlohmann/json.hpp>

namespace nexus::api {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kStatusBytesMax = 1u << 20;

constexpr std::array kCodes = {
    base::Errc::Internal,        base::Errc::Cancelled,         base::Errc::InvalidArgument,
    base::Errc::NotFound,        base::Errc::AlreadyExists,     base::Errc::Conflict,
    base::Errc::Unauthenticated, base::Errc::Forbidden,         base::Errc::FailedPrecondition,
    base::Errc::Unsupported,     base::Errc::ResourceExhausted, base::Errc::Unavailable,
    base::Errc::TimedOut,        base::Errc::DataLoss,          base::Errc::CannotPlace,
    base::Errc::NoQuorum,        base::Errc::NotVerified};

std::string text(const Json& object, const char* name) {
  if (!object.is_object()) return {};
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

base::Errc code_of(const Json& status, const StatusMessage& message) {
  const std::string name = text(status, "errc");
  for (const base::Errc code : kCodes) {
    if (base::to_string(code) == name) return code;
  }
  for (const base::Errc code : kCodes) {
    if (base::status_reason(code) == message.reason) return code;
  }
  return base::errc_of_http_status(message.code);
}

}  // namespace

std::optional<StatusMessage> read_status(std::string_view body) {
  if (body.size() > kStatusBytesMax) return std::nullopt;
  const Json status = Json::parse(body, nullptr, false);
  if (!status.is_object()) return std::nullopt;
  StatusMessage message;
  const std::string outcome = text(status, "status");
  message.success = outcome == "Success";
  if (!message.success && outcome != "Failure") return std::nullopt;
  message.reason = text(status, "reason");
  if (const auto code = status.find("code"); code != status.end() && code->is_number_integer()) {
    message.code = static_cast<int>(code->get<std::int64_t>());
  }
  if (const auto details = status.find("details"); details != status.end()) {
    message.trace_id = text(*details, "traceId");
    if (details->is_object() && details->contains("causes") && (*details)["causes"].is_array()) {
      for (const Json& cause : (*details)["causes"]) {
        message.causes.push_back(
            {text(cause, "reason"), text(cause, "field"), text(cause, "message")});
      }
    }
  }
  if (!message.success) {
    message.error = base::make_error(code_of(status, message), text(status, "message"));
    if (const auto hints = status.find("hints"); hints != status.end() && hints->is_array()) {
      for (const Json& hint : *hints) {
        if (hint.is_string()) message.error.hints.push_back(hint.get<std::string>());
      }
    }
  }
  return message;
}

}  // namespace nexus::api
