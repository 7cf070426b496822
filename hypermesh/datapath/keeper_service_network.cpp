#include "datapath/keeper_service_network.hpp"

#include "datapath/compile_services.hpp"

namespace hypermesh::datapath {

base::Task<base::Result<>> KeeperServiceNetwork::apply(std::vector<nexus::ServicePort> ports) {
  CO_TRY(const ServiceTable table, compile_services(ports));
  last_ = encode(table);
  co_return co_await send_(last_);
}

base::Task<base::Result<>> KeeperServiceNetwork::send_again() {
  if (last_.empty()) co_return base::Result<>{};
  co_return co_await send_(last_);
}

}  // namespace hypermesh::datapath
