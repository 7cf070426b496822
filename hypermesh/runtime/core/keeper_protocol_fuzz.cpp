#include <algorithm>

#include "runtime/core/cri_log.hpp"
#include "runtime/core/keeper_protocol.hpp"
#include "runtime/core/records.hpp"
#include "runtime/core/request_checks.hpp"
#include "runtime/core/user_lookup.hpp"

using namespace hypermesh::keeper;

// What was decoded is encoded to the same bytes; what was not is an error, never a crash. Checks
// and look-ups take whatever decoding lets through.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const base::BytesView body(data + 1, size - 1);
  switch (data[0] % 8) {
    case 0: {
      const auto request = decode_request(body);
      if (!request) break;
      BASE_ASSERT(std::ranges::equal(encode_request(*request), body), "one form for one request");
      (void)check(*request);
      break;
    }
    case 1: {
      if (const auto reply = decode_reply(body)) (void)encode_reply(*reply);
      break;
    }
    case 2:
      (void)decode_event(body);
      break;
    case 3:
      (void)decode_hello(body);
      break;
    case 4:
      (void)decode_welcome(body);
      break;
    case 5:
      if (body.size() >= kFrameHeaderBytes) (void)decode_header(body.first(kFrameHeaderBytes));
      break;
    case 6:
      (void)decode_pod_record(body);
      (void)decode_container_record(body);
      (void)parse_log_record(base::as_text(body));
      break;
    case 7: {
      const std::string_view text = base::as_text(body);
      const std::size_t third = text.size() / 3;
      UserRequest request;
      request.image_user = text.substr(0, std::min<std::size_t>(third, 64));
      (void)resolve_user(request, text.substr(third, third), text.substr(2 * third));
      break;
    }
    default:
      break;
  }
  return 0;
}
