#pragma once

#include "datapath/addressing.hpp"
#include "datapath/pod_network.hpp"
#include "datapath/service_driver.hpp"
#include "runtime/keeper/node_network.hpp"

namespace hypermesh::keeper {

/// The datapath of the network namespace that the process is in.
class DatapathNetwork final : public NodeNetwork {
 public:
  /// `machine_netns` is the machine's namespace where the node has one of its own; else none.
  static base::Result<std::unique_ptr<DatapathNetwork>> open(const datapath::NodeIdentity& node,
                                                             UniqueFd machine_netns);

  base::Result<std::vector<std::string>> addresses(std::uint16_t slot) override;
  std::vector<std::string> node_addresses() override;
  base::Result<> attach(const std::string& pod_uid, std::uint16_t slot, int netns_fd) override;
  base::Result<> detach(const std::string& pod_uid) override;
  base::Result<> keep_only(const std::set<std::string>& pod_uids) override;
  base::Result<> apply_services(base::BytesView table) override;
  base::Result<> remove_services() override { return services_.remove(); }
  base::Result<UniqueFd> machine_socket(int family, int type) override;

 private:
  DatapathNetwork(const datapath::NodeIdentity& node, datapath::PodNetwork pods,
                  UniqueFd machine_netns);
  datapath::NodeAddresses node_;
  datapath::PodNetwork pods_;
  datapath::ServiceTableDriver services_;
  UniqueFd machine_netns_;
};

}  // namespace hypermesh::keeper
