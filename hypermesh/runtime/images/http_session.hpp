#pragma once

// One HTTP exchange at a time over libcurl, blocking, without its own ideas about redirects or
// credentials.

#include <base/bytes.hpp>
#include <base/error.hpp>
#include <base/time.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/images/cancel.hpp"

namespace hypermesh {

/// Hands over a TCP socket of the machine's own network namespace, whatever namespace we are in,
/// for a loopback address given as a literal ("127.0.0.1", "::1"). It may be connected there
/// already. The caller then owns it. Called from threads of the pool.
using Connector = std::function<base::Result<int>(const std::string& address, std::uint16_t port)>;

struct HttpLimits {
  base::Duration connect_max = std::chrono::seconds(10);
  base::Duration document_max = std::chrono::seconds(60);  ///< For a whole manifest or token.
  std::uint64_t slow_bytes_per_second = 1024;              ///< A body that stays below this ...
  std::chrono::seconds slow_max{30};                       ///< ... for so long is given up.
  std::size_t header_bytes_max = 64u << 10;
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::vector<std::string>> headers;  ///< Names in lower case.
  std::string body;

  /// The first one; empty when there is none.
  std::string header(const std::string& name) const;
};

struct HttpRequest {
  std::string method = "GET";  ///< GET, HEAD or POST.
  std::string url;
  std::vector<std::string> headers;  ///< "Name: value"
  std::string body;                  ///< Of a POST.
  /// Takes the body of a 2xx answer in pieces; an error of it ends the exchange. Empty: the body is
  /// kept in the answer.
  std::function<base::Result<>(const HttpAnswer& so_far, base::BytesView piece)> on_body;
  std::size_t kept_bytes_max =
      64u << 10;  ///< Of a body that is kept: longer ones are an error when 2xx, else cut.
  bool whole_in_document_time = true;  ///< Or only not too slow.
};

/// What a URL leads to, as far as decisions need it.
struct UrlParts {
  std::string scheme, host, authority;  ///< Lower case; host without brackets; authority with the
                                        ///< port if it is not the scheme's own.
  std::uint16_t port = 0;
  bool loopback = false;
};
base::Result<UrlParts> split_url(const std::string& url);
/// `location` as seen from `base_url`.
base::Result<std::string> resolve_url(const std::string& base_url, const std::string& location);
std::string url_escape(std::string_view text);

/// A connection that is kept between exchanges. Used by one thread at a time.
class HttpSession {
 public:
  /// `connector` may be empty; it is asked for loopback addresses only. All are borrowed.
  HttpSession(const HttpLimits& limits, const Connector& connector, const std::string& ca_file);
  ~HttpSession();
  HttpSession(const HttpSession&) = delete;
  HttpSession& operator=(const HttpSession&) = delete;

  /// Errors: Unavailable and TimedOut (try again), NotVerified (the server's certificate),
  /// Unsupported (the answer is no
  ///         HTTP), InvalidArgument (a limit), Cancelled, and those of on_body.
  base::Result<HttpAnswer> perform(const HttpRequest& request, const CancelToken& cancel);

 private:
  struct Exchange;
  const HttpLimits& limits_;
  const Connector& connector_;
  const std::string& ca_file_;
  void* curl_;
};

}  // namespace hypermesh
