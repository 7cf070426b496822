#include "runtime/images/http_session.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>

#include <algorithm>
#include <cctype>

#include "runtime/images/reference.hpp"

namespace hypermesh {
namespace {

void start_curl() {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  BASE_ASSERT(started == CURLE_OK, "libcurl cannot start");
}

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlFree>;

std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return text;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos)
    text.remove_suffix(1);
  return text;
}

struct HeaderList {
  curl_slist* list = nullptr;
  ~HeaderList() { curl_slist_free_all(list); }
  void add(const std::string& line) { list = curl_slist_append(list, line.c_str()); }
};

long milliseconds(base::Duration time) {
  return std::max<long>(1,
                        long(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()));
}

}  // namespace

std::string HttpAnswer::header(const std::string& name) const {
  const auto it = headers.find(name);
  return it == headers.end() ? std::string() : it->second.front();
}

base::Result<UrlParts> split_url(const std::string& text) {
  const Url url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("\"{}\" is not a URL", text.substr(0, 300)));
  }
  UrlParts out;
  out.scheme = lower(part(url.get(), CURLUPART_SCHEME));
  out.host = lower(part(url.get(), CURLUPART_HOST));
  if (!part(url.get(), CURLUPART_USER).empty() || !part(url.get(), CURLUPART_PASSWORD).empty()) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("a URL at {} carries credentials", out.host));
  }
  const std::string port = part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  for (const char c : port) out.port = std::uint16_t(out.port * 10 + (c - '0'));
  const bool default_port =
      (out.scheme == "https" && out.port == 443) || (out.scheme == "http" && out.port == 80);
  out.authority = default_port ? out.host : fmt::format("{}:{}", out.host, out.port);
  if (out.host.starts_with('[') && out.host.ends_with(']'))
    out.host = out.host.substr(1, out.host.size() - 2);
  out.loopback = is_loopback_host(out.host);
  return out;
}

base::Result<std::string> resolve_url(const std::string& base_url, const std::string& location) {
  const Url url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, base_url.c_str(), 0) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, location.c_str(),
                   CURLU_NON_SUPPORT_SCHEME | CURLU_URLENCODE) != CURLUE_OK) {
    return base::fail(
        base::Errc::InvalidArgument,
        fmt::format("a redirect to \"{}\", which is not a URL", location.substr(0, 300)));
  }
  return part(url.get(), CURLUPART_URL);
}

std::string url_escape(std::string_view text) {
  char* escaped = curl_easy_escape(nullptr, text.data(), int(text.size()));
  std::string out(escaped ? escaped : "");
  curl_free(escaped);
  return out;
}

// What one exchange's callbacks share. They never throw into C: failures are kept here.
struct HttpSession::Exchange {
  const HttpRequest& request;
  const CancelToken& cancel;
  const HttpLimits& limits;
  const Connector& connector;
  CURL* curl;
  UrlParts url{};
  HttpAnswer answer{};
  std::size_t header_bytes = 0;
  std::optional<base::Error> error{};

  static std::size_t header(char* bytes, std::size_t, std::size_t size, void* self) {
    auto& me = *static_cast<Exchange*>(self);
    const std::string_view line = trim({bytes, size});
    me.header_bytes += size;
    if (me.header_bytes > me.limits.header_bytes_max) {
      me.error = base::make_error(base::Errc::InvalidArgument,
                                  fmt::format("{} sends more than {} bytes of headers", me.url.host,
                                              me.limits.header_bytes_max));
      return 0;
    }
    if (line.starts_with("HTTP/")) {
      me.answer.headers.clear();  // an interim answer came before
    } else if (const auto colon = line.find(':'); colon != std::string_view::npos) {
      me.answer.headers[lower(std::string(line.substr(0, colon)))].emplace_back(
          trim(line.substr(colon + 1)));
    }
    return size;
  }

  static std::size_t body(char* bytes, std::size_t, std::size_t size, void* self) {
    auto& me = *static_cast<Exchange*>(self);
    long status = 0;
    curl_easy_getinfo(me.curl, CURLINFO_RESPONSE_CODE, &status);
    const bool good = status >= 200 && status < 300;
    me.answer.status = int(status);
    if (good && me.request.on_body) {
      auto taken =
          me.request.on_body(me.answer, {reinterpret_cast<const std::uint8_t*>(bytes), size});
      if (taken) return size;
      me.error = std::move(taken).error();
      return 0;
    }
    const std::size_t room = me.request.kept_bytes_max - me.answer.body.size();
    if (good && size > room) {
      me.error = base::make_error(base::Errc::InvalidArgument,
                                  fmt::format("{} answers with more than {} bytes", me.url.host,
                                              me.request.kept_bytes_max));
      return 0;
    }
    me.answer.body.append(bytes, std::min(size, room));
    return size;
  }

  static int progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    return static_cast<Exchange*>(self)->cancel.cancelled() ? 1 : 0;
  }

  // "localhost" has two addresses, and curl asks for each.
  static curl_socket_t open_socket(void* self, curlsocktype, curl_sockaddr* target) {
    auto& me = *static_cast<Exchange*>(self);
    char address[INET6_ADDRSTRLEN] = {};
    const void* binary = target->family == AF_INET6
                             ? static_cast<const void*>(
                                   &reinterpret_cast<const sockaddr_in6&>(target->addr).sin6_addr)
                             : &reinterpret_cast<const sockaddr_in&>(target->addr).sin_addr;
    if (!inet_ntop(target->family, binary, address, sizeof address) || !is_loopback_host(address))
      return CURL_SOCKET_BAD;
    auto socket = me.connector(address, me.url.port);
    me.error.reset();  // of another address of the same host
    if (socket) {
      // libcurl 7.88 cannot take a connected socket (curl issue 10626): it connects it itself, in
      // the namespace that the socket belongs to. Ending a connection is connect(2) with AF_UNSPEC.
      sockaddr nowhere{};
      nowhere.sa_family = AF_UNSPEC;
      (void)connect(*socket, &nowhere, sizeof nowhere);
      return *socket;
    }
    me.error = std::move(socket).error();
    return CURL_SOCKET_BAD;
  }
};

HttpSession::HttpSession(const HttpLimits& limits, const Connector& connector,
                         const std::string& ca_file)
    : limits_(limits), connector_(connector), ca_file_(ca_file) {
  start_curl();
  curl_ = curl_easy_init();
  BASE_ASSERT(curl_ != nullptr, "libcurl has no memory");
}

HttpSession::~HttpSession() {
  curl_easy_cleanup(curl_);
}

base::Result<HttpAnswer> HttpSession::perform(const HttpRequest& request,
                                              const CancelToken& cancel) {
  if (cancel.cancelled()) return std::unexpected(CancelToken::error());
  CURL* curl = curl_;
  curl_easy_reset(curl);  // keeps the connection
  Exchange exchange{.request = request,
                    .cancel = cancel,
                    .limits = limits_,
                    .connector = connector_,
                    .curl = curl};
  TRY(exchange.url, split_url(request.url));
  HeaderList headers;
  for (const auto& line : request.headers) headers.add(line);
  headers.add("Expect:");

  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
  curl_easy_setopt(curl, CURLOPT_SSLVERSION, long(CURL_SSLVERSION_TLSv1_2));
  if (!ca_file_.empty()) curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file_.c_str());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "hypermesh");
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.list);
  if (request.method == "HEAD") curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  if (request.method == "POST") {
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, long(request.body.size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(limits_.connect_max));
  if (request.whole_in_document_time)
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, milliseconds(limits_.document_max));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, long(limits_.slow_bytes_per_second));
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, long(limits_.slow_max.count()));
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, &Exchange::header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, &Exchange::body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, &Exchange::progress);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &exchange);
  if (exchange.url.loopback) {
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    if (connector_) {
      curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, &Exchange::open_socket);
      curl_easy_setopt(curl, CURLOPT_OPENSOCKETDATA, &exchange);
    }
  }
  char detail[CURL_ERROR_SIZE] = {};
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);

  const CURLcode code = curl_easy_perform(curl);
  if (cancel.cancelled()) return std::unexpected(CancelToken::error());
  if (exchange.error) return std::unexpected(*std::move(exchange.error));
  const auto failed = [&](base::Errc errc) {
    return base::fail(errc, fmt::format("{}: {}", exchange.url.authority,
                                        detail[0] ? detail : curl_easy_strerror(code)));
  };
  switch (code) {
    case CURLE_OK:
      break;
    case CURLE_OPERATION_TIMEDOUT:
      return failed(base::Errc::TimedOut);
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
      return std::unexpected(base::with_hint(
          failed(base::Errc::NotVerified).error(),
          "the registry's certificate must be signed by an authority that this machine trusts"));
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
      return failed(base::Errc::Unsupported);
    default:
      return failed(base::Errc::Unavailable);
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  exchange.answer.status = int(status);
  return std::move(exchange.answer);
}

}  // namespace hypermesh
