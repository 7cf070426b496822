// Bytes that claim to come from the kernel: every length is checked before it is used.
#include <linux/rtnetlink.h>

#include "datapath/conntrack_messages.hpp"
#include "datapath/route_messages.hpp"

using namespace hypermesh::datapath;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  NetlinkReader reader({data, size});
  for (;;) {
    const auto message = reader.next();
    if (!message || !*message) return 0;
    (void)parse_answer(**message);
    if (const auto link = parse_body<ifinfomsg>(**message)) {
      (void)link->second.text(IFLA_IFNAME);
      (void)link->second.u32(IFLA_MTU);
      (void)link->second.nested(IFLA_LINKINFO);
    }
    (void)parse_link(**message);
    (void)parse_route(**message);
    (void)parse_is_local(**message);
    (void)parse_flow(**message);
  }
}
