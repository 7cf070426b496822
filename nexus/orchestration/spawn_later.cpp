#include "orchestration/spawn_later.hpp"

#include <boost/asio/post.hpp>

namespace nexus::orchestration {

namespace {

base::Task<> later(base::Task<> task) {
  co_await boost::asio::post(boost::asio::use_awaitable);
  co_await std::move(task);
}

}  // namespace

void spawn_later(base::TaskScope& scope, base::Task<> task) {
  scope.spawn(later(std::move(task)));
}

}  // namespace nexus::orchestration
