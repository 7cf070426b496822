#include <base/async/task.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/steady_timer.hpp>

namespace base {

Error from_system_error(const boost::system::error_code& code, std::string message,
                        std::source_location where) {
  if (code == asio::error::operation_aborted)
    return make_error(Errc::Cancelled, std::move(message) + ": cancelled", where);
  if (code == asio::error::eof)
    return make_error(Errc::Unavailable, std::move(message) + ": the peer closed the connection",
                      where);
  if (code.category() == boost::system::system_category())
    return errno_error(code.value(), std::move(message), where);
  return make_error(Errc::Unavailable, std::move(message) + ": " + code.message(), where);
}

Task<> sleep_for(Duration delay) {
  asio::steady_timer timer(co_await asio::this_coro::executor,
                           std::chrono::duration_cast<asio::steady_timer::duration>(delay));
  co_await timer.async_wait(use_result);
}

}  // namespace base
