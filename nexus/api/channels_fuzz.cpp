#include "api/channels.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)nexus::api::decode_channel_message({data, size});
  (void)nexus::api::decode_outcome({data, size});
  (void)nexus::api::choose_channel_protocol({reinterpret_cast<const char*>(data), size});
  return 0;
}
