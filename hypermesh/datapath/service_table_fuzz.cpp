// A table as the daemon sends it to the keeper, which is root: whatever the bytes, rules are made
// only from what the checks let through, and what was accepted is written the same way again.
#include "datapath/nft_rules.hpp"

using namespace hypermesh::datapath;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto table = decode_service_table({data, size});
  if (!table) return 0;
  const auto again = decode_service_table(encode(*table));
  BASE_ASSERT(again && *again == *table, "an accepted table has one encoding");
  const NodeIdentity node{
      .name = "n1",
      .index = 1,
      .cluster = {*IpPrefix::parse("fd12:3456:789a::/48"), *IpPrefix::parse("10.77.0.0/16")}};
  const std::string rules = whole_ruleset(node, *table);
  BASE_ASSERT(rules.find('\0') == std::string::npos && rules.find("include") == std::string::npos,
              "names cannot leave their quotes");
  (void)ruleset_change(node, *table, ServiceTable());
  return 0;
}
