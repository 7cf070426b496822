// Questions from strangers.
#include "dns/answer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nexus::dns;
  static const auto zone = [] {
    ZoneInput input;
    input.server_addresses = {"fd00::1"};
    input.services = {{"default", "web", {"fd00::20"}, {{"http", "tcp", 80}}, {}, ""},
                      {"default", "db", {}, {}, {{"a", {"fd00::2"}, {{"x", "tcp", 1}}}}, ""}};
    return Zone::build(input);
  }();
  static base::Bytes out(65535);
  answer(*zone, {data, size}, size % 2 == 0, 1, out);
  return 0;
}
