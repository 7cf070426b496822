#include <fmt/format.h>

#include <api_client/failure.hpp>
#include <base/error_mapping.hpp>
#include <nlohmann/json.hpp>

#include "api/status_reader.hpp"

namespace api_client {
namespace {

constexpr std::size_t kForeignTextBytesMax = 300;

}  // namespace

Failure failure_of(int http_status, std::string_view body) {
  Failure failure;
  failure.status = http_status;
  if (auto status = nexus::api::read_status(body); status && !status->success) {
    failure.error = std::move(status->error);
    failure.reason = std::move(status->reason);
    failure.trace_id = std::move(status->trace_id);
    for (auto& cause : status->causes) {
      failure.causes.push_back(
          {std::move(cause.reason), std::move(cause.field), std::move(cause.message)});
    }
    return failure;
  }
  std::string said(body.substr(0, kForeignTextBytesMax));
  failure.error = base::make_error(
      base::errc_of_http_status(http_status),
      fmt::format("the server answered {}{}{}", http_status, said.empty() ? "" : ": ", said));
  return failure;
}

std::optional<Receipt> parse_receipt(std::string_view header) {
  const auto json = nlohmann::json::parse(header, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto number = [&](const char* name) -> std::uint64_t {
    const auto found = json.find(name);
    return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
  };
  Receipt receipt;
  receipt.sequence = number("sequence");
  receipt.tree_size = number("treeSize");
  receipt.signatures = static_cast<unsigned>(number("signatures"));
  receipt.voters = static_cast<unsigned>(number("voters"));
  if (const auto root = json.find("root"); root != json.end() && root->is_string())
    receipt.root = root->get<std::string>();
  if (receipt.sequence == 0 || receipt.root.empty()) return std::nullopt;
  return receipt;
}

}  // namespace api_client
