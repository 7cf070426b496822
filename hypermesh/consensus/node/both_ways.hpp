#pragma once

#include <base/async/task.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>

namespace hypermesh::consensus {

/// Runs the two halves of a stream at once, and ends with the first that ends: its result. The
/// other one is cancelled.
inline base::Task<base::Result<>> both_ways(base::Task<base::Result<>> one,
                                            base::Task<base::Result<>> other) {
  using namespace boost::asio::experimental::awaitable_operators;
  // Cancellation of both would come out as another exception than that of one.
  const auto quiet = [](base::Task<base::Result<>> task) -> base::Task<base::Result<>> {
    try {
      co_return co_await std::move(task);
    } catch (const boost::system::system_error&) {
      co_return base::fail(base::Errc::Cancelled, "the stream was given up");
    }
  };
  auto first = co_await (quiet(std::move(one)) || quiet(std::move(other)));
  co_return first.index() == 0 ? std::get<0>(std::move(first)) : std::get<1>(std::move(first));
}

}  // namespace hypermesh::consensus
