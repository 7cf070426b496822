#include "datapath/keeper_service_network.hpp"

#include <algorithm>
#include <utility>

#include "datapath/compile_services.hpp"

namespace hypermesh::datapath {
namespace {

constexpr base::Duration kPauseMax = std::chrono::seconds(30);

}  // namespace

base::Task<base::Result<>> KeeperServiceNetwork::apply(std::vector<nexus::ServicePort> ports) {
  CO_TRY(const ServiceTable table, compile_services(ports));
  last_ = encode(table);
  co_return co_await send_(last_);
}

base::Task<base::Result<>> KeeperServiceNetwork::send_again() {
  if (last_.empty()) co_return base::Result<>{};
  co_return co_await send_(last_);
}

base::Task<> KeeperServiceNetwork::tell_new_keeper(base::Duration pause,
                                                   std::function<void(const base::Error&)> failed) {
  ++new_keepers_;
  if (std::exchange(telling_, true)) co_return;
  for (;;) {
    const unsigned told_of = new_keepers_;
    const auto told = co_await send_again();
    if (told && told_of == new_keepers_) break;
    if (told) continue;
    failed(told.error());
    co_await base::sleep_for(pause);
    pause = std::min<base::Duration>(2 * pause, kPauseMax);
  }
  telling_ = false;
}

}  // namespace hypermesh::datapath
