#include "datapath/conntrack_messages.hpp"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>

namespace hypermesh::datapath {
namespace {

constexpr std::uint16_t message_type(int type) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | type);
}

nfgenmsg body_of(Family family) {
  nfgenmsg body{};
  body.nfgen_family = family == Family::Ipv6 ? 10 : 2;  // AF_INET6, AF_INET
  body.version = NFNETLINK_V0;
  return body;
}

struct Tuple {
  std::uint8_t protocol = 0;
  Endpoint source, destination;
};

std::optional<std::uint16_t> port(const NetlinkAttributes& protocol, std::uint16_t type) {
  const auto value = protocol.find(type);
  if (!value || value->size() != 2) return {};
  return static_cast<std::uint16_t>((*value)[0] << 8 | (*value)[1]);
}

std::optional<IpAddress> address(const NetlinkAttributes& ip, std::uint16_t v4, std::uint16_t v6) {
  for (const auto& [type, size] : {std::pair{v4, 4u}, std::pair{v6, 16u}}) {
    const auto value = ip.find(type);
    if (value && value->size() == size) return *IpAddress::from_bytes(*value);
  }
  return {};
}

base::Result<std::optional<Tuple>> parse_tuple(const NetlinkAttributes& entry, std::uint16_t type) {
  TRY(const auto tuple, entry.nested(type));
  TRY(const auto ip, tuple.nested(CTA_TUPLE_IP));
  TRY(const auto protocol, tuple.nested(CTA_TUPLE_PROTO));
  const auto source = address(ip, CTA_IP_V4_SRC, CTA_IP_V6_SRC);
  const auto destination = address(ip, CTA_IP_V4_DST, CTA_IP_V6_DST);
  const auto from = port(protocol, CTA_PROTO_SRC_PORT), to = port(protocol, CTA_PROTO_DST_PORT);
  const auto number = protocol.find(CTA_PROTO_NUM);
  if (!source || !destination || !from || !to || !number || number->size() != 1) {
    return std::nullopt;
  }
  return Tuple{(*number)[0], {*source, *from}, {*destination, *to}};
}

}  // namespace

NetlinkBatch list_flows_request(Family family) {
  NetlinkBatch batch;
  NetlinkWriter& message = batch.add("list the tracked connections");
  message.begin(message_type(IPCTNL_MSG_CT_GET), NLM_F_REQUEST | NLM_F_DUMP, body_of(family));
  message.end();
  return batch;
}

base::Result<std::optional<TrackedFlow>> parse_flow(const NetlinkMessage& message) {
  if (message.type != message_type(IPCTNL_MSG_CT_NEW)) return std::nullopt;
  TRY(const auto parsed, parse_body<nfgenmsg>(message));
  const auto& entry = parsed.second;
  TRY(const auto original, parse_tuple(entry, CTA_TUPLE_ORIG));
  TRY(const auto reply, parse_tuple(entry, CTA_TUPLE_REPLY));
  if (!original || !reply) return std::nullopt;
  return TrackedFlow{original->protocol, original->destination, reply->source,
                     *entry.find(CTA_TUPLE_ORIG)};
}

void delete_flow(NetlinkBatch& batch, Family family, base::BytesView original_tuple) {
  NetlinkWriter& message = batch.add("forget a tracked connection");
  message.begin(message_type(IPCTNL_MSG_CT_DELETE), NLM_F_REQUEST | NLM_F_ACK, body_of(family));
  message.attribute(NLA_F_NESTED | CTA_TUPLE_ORIG, original_tuple);
  message.end();
}

}  // namespace hypermesh::datapath
