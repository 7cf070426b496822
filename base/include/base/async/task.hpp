#pragma once

// A Task is a lazily started Asio coroutine. Errors of the outside are Results; the only exception
// that travels through tasks is cancellation (boost::system::system_error with operation_aborted),
// which unwinds.

#include <base/error.hpp>
#include <base/time.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace base {

namespace asio = boost::asio;

using Executor = asio::any_io_executor;
template <class T = void>
using Task = asio::awaitable<T>;

/// Completion token of Asio calls: `auto [error, n] = co_await socket.async_read_some(b,
/// base::use_result);`
inline constexpr auto use_result = asio::as_tuple(asio::use_awaitable);

/// Errors of Asio and the system as ours: ECONNREFUSED is Unavailable, operation_aborted Cancelled.
Error from_system_error(const boost::system::error_code& code, std::string message,
                        std::source_location where = std::source_location::current());

/// Resumes after `delay` on the caller's executor.
Task<> sleep_for(Duration delay);

}  // namespace base
