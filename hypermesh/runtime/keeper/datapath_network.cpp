#include "runtime/keeper/datapath_network.hpp"

#include "datapath/namespaces.hpp"
#include "datapath/service_table.hpp"

namespace hypermesh::keeper {

DatapathNetwork::DatapathNetwork(const datapath::NodeIdentity& node, datapath::PodNetwork pods,
                                 UniqueFd machine_netns)
    : node_(node.addresses()),
      pods_(std::move(pods)),
      services_(node),
      machine_netns_(std::move(machine_netns)) {}

base::Result<std::unique_ptr<DatapathNetwork>> DatapathNetwork::open(
    const datapath::NodeIdentity& node, UniqueFd machine_netns) {
  TRY(datapath::PodNetwork pods, datapath::PodNetwork::open(node.addresses()));
  return std::unique_ptr<DatapathNetwork>(
      new DatapathNetwork(node, std::move(pods), std::move(machine_netns)));
}

base::Result<std::vector<std::string>> DatapathNetwork::addresses(std::uint16_t slot) {
  TRY(const datapath::PodAddresses pod, datapath::addresses_of_pod(node_, slot));
  return std::vector<std::string>{pod.v6.to_string(), pod.v4.to_string()};
}

std::vector<std::string> DatapathNetwork::node_addresses() {
  return {node_.node6.to_string(), node_.node4.to_string()};
}

base::Result<> DatapathNetwork::attach(const std::string& pod_uid, std::uint16_t slot,
                                       int netns_fd) {
  TRY(const datapath::PodAddresses pod, datapath::addresses_of_pod(node_, slot));
  return pods_.attach({pod_uid, netns_fd, pod});
}

base::Result<> DatapathNetwork::detach(const std::string& pod_uid) {
  return pods_.detach(pod_uid);
}

base::Result<> DatapathNetwork::keep_only(const std::set<std::string>& pod_uids) {
  TRY_DO(pods_.remove_all_but(pod_uids));
  return {};
}

base::Result<> DatapathNetwork::apply_services(base::BytesView table) {
  TRY(const datapath::ServiceTable decoded, datapath::decode_service_table(table));
  return services_.apply(decoded);
}

base::Result<UniqueFd> DatapathNetwork::machine_socket(int family, int type) {
  if (!machine_netns_) {
    return base::fail(base::Errc::Unsupported, "the node is in no network namespace of its own");
  }
  return datapath::socket_in(machine_netns_.get(), family, type, 0);
}

}  // namespace hypermesh::keeper
