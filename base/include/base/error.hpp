#pragma once

// Errors as values: a code from one small closed set, a message for a person, hints, a chain of
// causes. What the outside can cause is a Result; what only we can cause is a BASE_ASSERT, on in
// release too.

#include <cstdint>
#include <expected>
#include <memory>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace base {

/// What went wrong, as far as a program has to tell cases apart. The one mapping to exit codes,
/// HTTP statuses and RPC statuses is error_mapping.hpp.
enum class Errc : std::uint8_t {
  Internal,         ///< A promise between our own parts is broken.
  Cancelled,        ///< The caller gave up. Passed on at once, never retried or logged as an error.
  InvalidArgument,  ///< The request is wrong in itself; the same request can never work.
  NotFound,         ///< What is named does not exist.
  AlreadyExists,    ///< What is to be made exists.
  Conflict,         ///< Changed since it was read (compare-and-set).
  Unauthenticated,  ///< Nobody knows who asks.
  Forbidden,        ///< Known, but not allowed by role or policy.
  FailedPrecondition,  ///< The system is not in the state that the request needs.
  Unsupported,         ///< Understood, but neither this build nor this host can do it.
  ResourceExhausted,   ///< A limit is reached: memory, disk, connections, rate.
  Unavailable,         ///< A peer or a service does not answer now; a retry may help.
  TimedOut,            ///< The deadline passed; the outcome may be unknown.
  DataLoss,            ///< Stored or received bytes are damaged.
  CannotPlace,         ///< No node fits a workload.
  NoQuorum,            ///< Too few voters answer.
  NotVerified,         ///< A proof or a signature does not hold.
};

/// Stable name for logs and JSON, e.g. "NotFound".
std::string_view to_string(Errc code);

struct Error {
  Errc code = Errc::Internal;
  std::string message;             ///< What failed and what was found. One line, no full stop.
  std::vector<std::string> hints;  ///< What to do about it, most useful first.
  std::shared_ptr<const Error> cause;
  std::source_location where;

  /// "message: cause: cause's cause".
  std::string describe() const;
};

[[nodiscard]] Error make_error(Errc code, std::string message,
                               std::source_location where = std::source_location::current());
/// `cause` under a new headline; the code stays the cause's.
[[nodiscard]] Error wrap(Error cause, std::string message,
                         std::source_location where = std::source_location::current());
[[nodiscard]] Error with_hint(Error error, std::string hint);
/// From errno: ENOENT is NotFound, ENOSPC is ResourceExhausted and so on.
[[nodiscard]] Error errno_error(int error_number, std::string message,
                                std::source_location where = std::source_location::current());

template <class T = void>
using Result = std::expected<T, Error>;

/// `return fail(Errc::NotFound, "...");`
[[nodiscard]] inline std::unexpected<Error> fail(
    Errc code, std::string message, std::source_location where = std::source_location::current()) {
  return std::unexpected(make_error(code, std::move(message), where));
}
[[nodiscard]] inline std::unexpected<Error> fail_errno(
    int error_number, std::string message,
    std::source_location where = std::source_location::current()) {
  return std::unexpected(errno_error(error_number, std::move(message), where));
}

[[noreturn]] void assertion_failed(const char* condition, std::string_view message,
                                   std::source_location where);

}  // namespace base

#define BASE_CONCAT_INNER(a, b) a##b
#define BASE_CONCAT(a, b) BASE_CONCAT_INNER(a, b)

#define BASE_TRY_IMPL(result, target, expr, ret)               \
  auto result = (expr);                                        \
  if (!result) ret std::unexpected(std::move(result).error()); \
  target = *std::move(result)
#define BASE_TRY_DO_IMPL(result, expr, ret) \
  if (auto result = (expr); !result) ret std::unexpected(std::move(result).error())

/// TRY(auto x, f()): x is f's value, or the error goes to our caller.
#define TRY(target, ...) \
  BASE_TRY_IMPL(BASE_CONCAT(try_result_, __COUNTER__), target, (__VA_ARGS__), return)
#define TRY_DO(...) BASE_TRY_DO_IMPL(BASE_CONCAT(try_result_, __COUNTER__), (__VA_ARGS__), return)
/// The same in a coroutine: CO_TRY(auto x, co_await f()).
#define CO_TRY(target, ...) \
  BASE_TRY_IMPL(BASE_CONCAT(try_result_, __COUNTER__), target, (__VA_ARGS__), co_return)
#define CO_TRY_DO(...) \
  BASE_TRY_DO_IMPL(BASE_CONCAT(try_result_, __COUNTER__), (__VA_ARGS__), co_return)

/// Holds unless we made a mistake ourselves. Stays on in release; ends the process with the place.
#define BASE_ASSERT(condition, message) \
  ((condition) ? void(0)                \
               : ::base::assertion_failed(#condition, (message), std::source_location::current()))
