#include <base/error.hpp>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace base {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::Internal:
      return "Internal";
    case Errc::Cancelled:
      return "Cancelled";
    case Errc::InvalidArgument:
      return "InvalidArgument";
    case Errc::NotFound:
      return "NotFound";
    case Errc::AlreadyExists:
      return "AlreadyExists";
    case Errc::Conflict:
      return "Conflict";
    case Errc::Unauthenticated:
      return "Unauthenticated";
    case Errc::Forbidden:
      return "Forbidden";
    case Errc::FailedPrecondition:
      return "FailedPrecondition";
    case Errc::Unsupported:
      return "Unsupported";
    case Errc::ResourceExhausted:
      return "ResourceExhausted";
    case Errc::Unavailable:
      return "Unavailable";
    case Errc::TimedOut:
      return "TimedOut";
    case Errc::DataLoss:
      return "DataLoss";
    case Errc::CannotPlace:
      return "CannotPlace";
    case Errc::NoQuorum:
      return "NoQuorum";
    case Errc::NotVerified:
      return "NotVerified";
  }
  return "Internal";
}

std::string Error::describe() const {
  std::string text = message;
  for (const Error* next = cause.get(); next; next = next->cause.get()) {
    text += ": ";
    text += next->message;
  }
  return text;
}

Error make_error(Errc code, std::string message, std::source_location where) {
  return Error{code, std::move(message), {}, nullptr, where};
}

Error wrap(Error cause, std::string message, std::source_location where) {
  Error error{cause.code, std::move(message), {}, nullptr, where};
  error.hints = std::move(cause.hints);
  cause.hints.clear();
  error.cause = std::make_shared<const Error>(std::move(cause));
  return error;
}

Error with_hint(Error error, std::string hint) {
  error.hints.push_back(std::move(hint));
  return error;
}

namespace {

Errc code_of_errno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ESRCH:
    case ENODEV:
      return Errc::NotFound;
    case EEXIST:
      return Errc::AlreadyExists;
    case EACCES:
    case EPERM:
      return Errc::Forbidden;
    case EINVAL:
    case ENAMETOOLONG:
      return Errc::InvalidArgument;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
      return Errc::ResourceExhausted;
    case EADDRINUSE:
    case EBUSY:
    case EWOULDBLOCK:
      return Errc::FailedPrecondition;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case ENETUNREACH:
    case EHOSTUNREACH:
      return Errc::Unavailable;
    case ETIMEDOUT:
      return Errc::TimedOut;
    case ECANCELED:
      return Errc::Cancelled;
    case ENOSYS:
    case EOPNOTSUPP:
      return Errc::Unsupported;
    case EIO:
      return Errc::DataLoss;
    default:
      return Errc::Internal;
  }
}

}  // namespace

Error errno_error(int error_number, std::string message, std::source_location where) {
  return make_error(code_of_errno(error_number),
                    std::move(message) + ": " + std::strerror(error_number), where);
}

void assertion_failed(const char* condition, std::string_view message, std::source_location where) {
  std::fprintf(stderr, "%s:%u: assertion failed: %s: %.*s\n", where.file_name(), where.line(),
               condition, static_cast<int>(message.size()), message.data());
  std::abort();
}

}  // namespace base
