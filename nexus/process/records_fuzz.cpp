#include "process/launch.hpp"
#include "process/log_record.hpp"
#include "process/proc_text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nexus::process;
  const base::BytesView bytes(data, size);
  const std::string_view text = base::as_text(bytes);
  if (const auto launch = decode_launch(bytes))
    BASE_ASSERT(*decode_launch(encode(*launch)) == *launch, "a launch comes back as it was");
  (void)start_error(text);
  (void)parse_stat(text);
  (void)parse_log_record(text);
  (void)decode_attempt(text);
  if (const auto pod = decode_pod(text))
    BASE_ASSERT(decode_pod(encode(*pod)).has_value(), "a pod's record can be read again");
  if (const auto running = decode_running(text))
    BASE_ASSERT(decode_running(encode(*running)).has_value(), "a start can be read again");
  if (const auto exit = decode_exit(text))
    BASE_ASSERT(decode_exit(encode(*exit)).has_value(), "an end can be read again");
  return 0;
}
