#pragma once

// Entries of the kernel's connection tracking over netlink (linux/netfilter/nfnetlink_conntrack.h).

#include <optional>

#include "datapath/netlink_codec.hpp"
#include "datapath/service_table.hpp"

namespace hypermesh::datapath {

struct TrackedFlow {
  std::uint8_t protocol = 0;
  Endpoint destination;  ///< As the client addressed it.
  Endpoint replier;      ///< Who answers: another one where the destination was translated.
  base::BytesView original_tuple;  ///< As the kernel wrote it; names the entry in a deletion.
};

NetlinkBatch list_flows_request(Family family);
/// Empty when the entry has no ports. Errors: DataLoss.
base::Result<std::optional<TrackedFlow>> parse_flow(const NetlinkMessage& message);
void delete_flow(NetlinkBatch& batch, Family family, base::BytesView original_tuple);

}  // namespace hypermesh::datapath
