#include "runtime/images/registry_client.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "runtime/images/bounded_json.hpp"

namespace hypermesh {

// Why an attempt failed, and whether another one may help.
struct RegistryClient::Failure {
  base::Error error;
  bool again = false;
  std::optional<base::Duration> retry_after{};
  int status = 0;          ///< Of the answer, if there was one.
  bool wants_tls = false;  ///< A plain request that was answered as TLS ports answer.

  static Failure of(base::Error error) {
    const bool again = error.code == base::Errc::Unavailable || error.code == base::Errc::TimedOut;
    return {std::move(error), again};
  }
};

struct RegistryClient::Call {
  const ImageReference& repository;
  const std::optional<RegistrySecret>& secret;
  const CancelToken& cancel;
  HttpSession session;
};

namespace {

constexpr unsigned kRedirectsMax = 5;
// What a connection must bring to count as progress: a server that trickles is given up.
constexpr std::uint64_t kProgressBytes = 64u << 10;

// What a registry says for itself: {"errors":[{"code":"...","message":"..."}]}, cut and without
// control characters.
std::string reason_in(const std::string& body) {
  const auto document =
      parse_bounded_json(body, "error", {.bytes_max = 64u << 10, .values_max = 1000});
  std::string out;
  if (document && document->is_object()) {
    const auto errors = document->find("errors");
    if (errors != document->end() && errors->is_array() && !errors->empty() &&
        (*errors)[0].is_object()) {
      out = (*errors)[0].value("message", nlohmann::json("")).is_string()
                ? (*errors)[0].value("message", std::string())
                : "";
    }
  }
  std::erase_if(out, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  return out.empty() ? out : fmt::format(" (\"{}\")", out.substr(0, 200));
}

std::optional<base::Duration> retry_after(const HttpAnswer& answer) {
  const std::string value = answer.header("retry-after");
  if (value.empty()) return std::nullopt;
  if (std::ranges::all_of(value, [](char c) { return c >= '0' && c <= '9'; })) {
    return value.size() > 6 ? std::chrono::hours(24) : std::chrono::seconds(std::stol(value));
  }
  // RFC 9110 section 10.2.3: or a date. Against the server's own, so that clocks need not agree.
  const std::time_t until = curl_getdate(value.c_str(), nullptr);
  const std::time_t now = curl_getdate(answer.header("date").c_str(), nullptr);
  if (until < 0 || now < 0) return std::nullopt;
  return std::chrono::seconds(std::clamp<std::time_t>(until - now, 0, 24 * 3600));
}

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

// "bytes 100-199/200" -> 100
std::optional<std::uint64_t> range_start(const std::string& content_range) {
  constexpr std::string_view kUnit = "bytes ";
  if (!content_range.starts_with(kUnit)) return std::nullopt;
  std::uint64_t value = 0;
  std::size_t i = kUnit.size();
  for (; i < content_range.size() && content_range[i] >= '0' && content_range[i] <= '9' &&
         value < UINT64_MAX / 20;
       ++i) {
    value = value * 10 + std::uint64_t(content_range[i] - '0');
  }
  return i > kUnit.size() && i < content_range.size() && content_range[i] == '-'
             ? std::optional(value)
             : std::nullopt;
}

}  // namespace

base::Result<std::string> RegistryClient::base_url(const ImageReference& repository) {
  TRY(const RegistryAddress address, registry_address(repository.registry));
  bool tls = !address.loopback;
  if (!tls) {
    const std::lock_guard lock(mutex_);
    tls = loopback_with_tls_.contains(repository.registry);
  }
  return fmt::format("{}://{}/v2/{}", tls ? "https" : "http", address.authority(),
                     repository.repository);
}

void RegistryClient::use_tls_for(const std::string& registry) {
  const std::lock_guard lock(mutex_);
  loopback_with_tls_.insert(registry);
}

// Follows redirects. The authorization goes to the registry itself only, never along to where it
// sends us.
RegistryClient::Tried<HttpAnswer> RegistryClient::ask_following(Call& call, HttpRequest request,
                                                                const std::string& authorization) {
  const auto origin = split_url(request.url);
  if (!origin) return std::unexpected(Failure::of(origin.error()));
  const auto plain_headers = request.headers;
  for (unsigned redirects = 0;; ++redirects) {
    const auto here = split_url(request.url);
    if (!here) return std::unexpected(Failure::of(here.error()));
    const bool at_registry = here->scheme == origin->scheme && here->authority == origin->authority;
    request.headers = plain_headers;
    if (at_registry && !authorization.empty())
      request.headers.push_back("Authorization: " + authorization);
    auto answer = call.session.perform(request, call.cancel);
    if (!answer) return std::unexpected(Failure::of(std::move(answer).error()));
    if (!is_redirect(answer->status)) return *std::move(answer);
    const auto refuse = [&](std::string why) {
      return std::unexpected(Failure::of(base::make_error(
          base::Errc::InvalidArgument, fmt::format("{}: {}", call.repository.registry, why))));
    };
    if (redirects == kRedirectsMax)
      return refuse(fmt::format("more than {} redirects", kRedirectsMax));
    auto next = resolve_url(request.url, answer->header("location"));
    if (!next) return refuse(next.error().message);
    const auto target = split_url(*next);
    if (!target) return refuse(target.error().message);
    // A registry elsewhere must reach neither the network unprotected nor what listens on this
    // machine.
    const bool plain_allowed = target->scheme == "http" && target->loopback && origin->loopback;
    if (target->scheme != "https" && !plain_allowed)
      return refuse(fmt::format("a redirect without TLS to {}", target->authority));
    if (target->loopback && !origin->loopback)
      return refuse(fmt::format("a redirect to this machine ({})", target->authority));
    request.url = *std::move(next);
  }
}

// One request with what authentication it takes. 2xx is success.
RegistryClient::Tried<HttpAnswer> RegistryClient::ask(Call& call, const HttpRequest& request) {
  const std::string& registry = call.repository.registry;
  auto answer = ask_following(call, request, auth_.authorization(call.repository, call.secret));
  if (answer && answer->status == 401) {
    auth_.forget(call.repository, call.secret);
    if (auto answered = auth_.answer(*answer, request.url, call.repository, call.secret,
                                     call.session, call.cancel);
        !answered) {
      return std::unexpected(Failure::of(std::move(answered).error()));
    }
    answer = ask_following(call, request, auth_.authorization(call.repository, call.secret));
  }
  const bool plain = request.url.starts_with("http:");
  if (!answer) {
    answer.error().wants_tls = plain && answer.error().error.code == base::Errc::Unsupported;
    return answer;
  }
  const int status = answer->status;
  if (status >= 200 && status < 300) return answer;
  const std::string why = reason_in(answer->body);
  const auto failure = [&](base::Errc code, std::string message, bool again = false) {
    return std::unexpected(
        Failure{base::make_error(code, std::move(message) + why), again, retry_after(*answer),
                status, plain && status == 400 && answer->body.find("HTTPS") != std::string::npos});
  };
  switch (status) {
    case 404:
      return failure(base::Errc::NotFound, fmt::format("{} has no such image", registry));
    case 429: {
      auto limited = failure(base::Errc::ResourceExhausted,
                             fmt::format("{} answers 429: too many requests", registry), true);
      limited.error().error.hints.push_back(
          "wait, or give credentials: registries limit pulls without them");
      return limited;
    }
    case 401:
    case 403: {
      auth_.forget(call.repository, call.secret);
      auto refused = failure(
          base::Errc::Forbidden,
          fmt::format("{} refuses: {}", registry,
                      status == 401
                          ? (call.secret ? "these credentials do not open this repository"
                                         : "credentials are needed, or there is no such repository")
                          : "no access to this repository"));
      refused.error().error.hints.push_back(
          "check the name and the credentials (imagePullSecrets)");
      return refused;
    }
    default:
      break;
  }
  if (status >= 500)
    return failure(base::Errc::Unavailable, fmt::format("{} answers {}", registry, status), true);
  return failure(base::Errc::InvalidArgument, fmt::format("{} answers {}", registry, status));
}

template <class F>
auto RegistryClient::with_retries(F attempt, const CancelToken& cancel, RetryState& retries)
    -> base::Result<typename decltype(attempt())::value_type> {
  while (true) {
    auto tried = attempt();
    if (tried) {
      if constexpr (std::is_void_v<typename decltype(tried)::value_type>)
        return {};
      else
        return *std::move(tried);
    }
    Failure failure = std::move(tried).error();
    if (!failure.again) return std::unexpected(std::move(failure.error));
    const auto wait = retries.failed(failure.retry_after);
    if (!wait) {
      if (failure.retry_after && *failure.retry_after > options_.retry.retry_after_max) {
        failure.error.hints.insert(
            failure.error.hints.begin(),
            fmt::format(
                "the registry asks to wait {} s",
                std::chrono::duration_cast<std::chrono::seconds>(*failure.retry_after).count()));
        return std::unexpected(std::move(failure.error));
      }
      return std::unexpected(base::wrap(
          std::move(failure.error), fmt::format("given up after {} failures", retries.failures())));
    }
    if (cancel.wait_for(*wait)) return std::unexpected(CancelToken::error());
  }
}

base::Result<std::optional<ContentDigest>> RegistryClient::resolve(
    const ImageReference& reference, const std::optional<RegistrySecret>& secret,
    const CancelToken& cancel) {
  Call call{reference, secret, cancel,
            HttpSession(options_.http, options_.connector, options_.ca_file)};
  RetryState retries(options_.retry, rng_);
  TRY(const HttpAnswer answer,
      with_retries(
          [&]() -> Tried<HttpAnswer> {
            auto url = base_url(reference);
            if (!url) return std::unexpected(Failure::of(std::move(url).error()));
            auto asked = ask(call, {.method = "HEAD",
                                    .url = *url + "/manifests/" + reference.target(),
                                    .headers = {"Accept: " + manifest_accept_header()}});
            // A registry need not answer this question; the document will tell.
            if (!asked && asked.error().error.code == base::Errc::InvalidArgument)
              return HttpAnswer{};
            return asked;
          },
          cancel, retries));
  if (const auto digest = parse_digest(answer.header("docker-content-digest")))
    return std::optional(*digest);
  return std::nullopt;
}

base::Result<FetchedManifest> RegistryClient::fetch_manifest(
    const ImageReference& repository, const std::string& target,
    const std::optional<RegistrySecret>& secret, const CancelToken& cancel) {
  Call call{repository, secret, cancel,
            HttpSession(options_.http, options_.connector, options_.ca_file)};
  RetryState retries(options_.retry, rng_);
  TRY(HttpAnswer answer,
      with_retries(
          [&]() -> Tried<HttpAnswer> {
            auto url = base_url(repository);
            if (!url) return std::unexpected(Failure::of(std::move(url).error()));
            HttpRequest request{.url = *url + "/manifests/" + target,
                                .headers = {"Accept: " + manifest_accept_header()},
                                .kept_bytes_max = kManifestBytesMax};
            auto asked = ask(call, request);
            if (!asked && asked.error().wants_tls) {
              request.url.replace(0, 4, "https");
              auto with_tls = ask(call, request);
              if (with_tls || with_tls.error().error.code == base::Errc::NotVerified)
                asked = std::move(with_tls);
              if (asked) use_tls_for(repository.registry);
            }
            return asked;
          },
          cancel, retries));
  FetchedManifest out{std::move(answer.body), answer.header("content-type"), {}};
  out.digest = digest_of(out.bytes);
  const std::string what = fmt::format("the manifest {} of {}", target, repository.name());
  if (const auto wanted = parse_digest(target); wanted && *wanted != out.digest)
    return std::unexpected(digest_mismatch(what, *wanted, out.digest));
  if (const auto told = parse_digest(answer.header("docker-content-digest"));
      told && *told != out.digest) {
    return std::unexpected(digest_mismatch(what, *told, out.digest));
  }
  return out;
}

RegistryClient::Tried<> RegistryClient::fetch_rest(Call& call, const Descriptor& blob,
                                                   BlobSink& sink, base::Sha256& hash,
                                                   std::uint64_t& have,
                                                   std::atomic<std::uint64_t>& done) {
  auto url = base_url(call.repository);
  if (!url) return std::unexpected(Failure::of(std::move(url).error()));
  const auto begin_again = [&]() -> base::Result<> {
    done -= have;
    have = 0;
    hash = base::Sha256();
    return sink.restart();
  };
  const std::uint64_t wanted_from = have;
  bool first = true;
  bool other_range = false;
  const std::string what =
      fmt::format("the blob {} of {}", blob.digest.text(), call.repository.name());
  HttpRequest request{.url = fmt::format("{}/blobs/{}", *url, blob.digest.text()),
                      .whole_in_document_time = false};
  if (have > 0) request.headers.push_back(fmt::format("Range: bytes={}-", have));
  request.on_body = [&](const HttpAnswer& so_far, base::BytesView piece) -> base::Result<> {
    if (std::exchange(first, false)) {
      // Servers may ignore a range (200: all of it), but must not send another one.
      if (so_far.status != 206 && wanted_from > 0) TRY_DO(begin_again());
      if (so_far.status == 206 && range_start(so_far.header("content-range")) != wanted_from) {
        other_range = true;
        return base::fail(
            base::Errc::Unavailable,
            fmt::format("{} answers with another range than asked for", call.repository.registry));
      }
    }
    if (piece.size() > blob.size - have) {
      return base::fail(
          base::Errc::NotVerified,
          fmt::format("{} is longer than the {} bytes that its manifest says", what, blob.size));
    }
    TRY_DO(sink.append(piece));
    hash.update(piece);
    have += piece.size();
    done += piece.size();
    return {};
  };
  auto answer = ask(call, request);
  if (!answer) {
    // What we have may be wrong, then no rest fits it.
    if (other_range || answer.error().status == 416) {
      if (auto restarted = begin_again(); !restarted)
        return std::unexpected(Failure::of(std::move(restarted).error()));
      answer.error().again = true;
    }
    return std::unexpected(std::move(answer).error());
  }
  if (have < blob.size) {
    return std::unexpected(
        Failure{base::make_error(base::Errc::Unavailable,
                                 fmt::format("{}: {} ends after {} of {} bytes",
                                             call.repository.registry, what, have, blob.size)),
                true});
  }
  return {};
}

base::Result<> RegistryClient::fetch_blob(const ImageReference& repository, const Descriptor& blob,
                                          BlobSink& sink,
                                          const std::optional<RegistrySecret>& secret,
                                          const CancelToken& cancel,
                                          std::atomic<std::uint64_t>& done) {
  Call call{repository, secret, cancel,
            HttpSession(options_.http, options_.connector, options_.ca_file)};
  RetryState retries(options_.retry, rng_);
  base::Sha256 hash;
  std::uint64_t have = 0;
  TRY_DO(sink.restart());
  if (blob.size > 0) {
    TRY_DO(with_retries(
        [&]() -> Tried<> {
          const std::uint64_t before = have;
          auto tried = fetch_rest(call, blob, sink, hash, have, done);
          if (have > before && have - before >= kProgressBytes) retries.progressed();
          return tried;
        },
        cancel, retries));
  }
  const ContentDigest found{hash.finish()};
  if (found != blob.digest) {
    return std::unexpected(
        digest_mismatch(fmt::format("the blob {} of {}", blob.digest.text(), repository.name()),
                        blob.digest, found));
  }
  return {};
}

}  // namespace hypermesh
