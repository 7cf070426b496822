#include "session/api.hpp"

#include <fmt/format.h>

#include <api_client/client.hpp>
#include <manifest/yaml_document.hpp>

#include "output/units.hpp"
#include "session/loop.hpp"

namespace cli {

using namespace std::chrono_literals;
using api_client::AnswerStream;
using base::Result;
using base::Task;

std::string api_path(std::initializer_list<std::string_view> segments, const Query& query) {
  return api_client::target(api_client::path(segments), query);
}

namespace {

// A node's answers are large at most; a hostile one must not cost more.
constexpr nexus::manifest::ReadLimits kAnswerLimits{.text_bytes_max = 256u << 20,
                                                    .depth_max = 200,
                                                    .nodes_max = 20'000'000,
                                                    .expanded_bytes_max = 512u << 20};

Result<Json> read_answer(std::string_view text) {
  if (text.empty()) return Json();
  auto json = nexus::manifest::read_json(text, kAnswerLimits);
  if (!json)
    return std::unexpected(base::wrap(base::make_error(base::Errc::DataLoss, json.error().message),
                                      "the node's answer cannot be read"));
  return json;
}

// The server's causes as the causes of the error, which become the reasons that a person reads.
base::Error with_reasons(base::Error error, const api_client::Failure& failure) {
  std::shared_ptr<const base::Error> chain = error.cause;
  for (auto cause = failure.causes.rbegin(); cause != failure.causes.rend(); ++cause) {
    // A message that repeats the only reason would say everything twice.
    if (failure.causes.size() == 1 && error.message.find(cause->message) != std::string::npos)
      continue;
    base::Error link = base::make_error(
        error.code,
        cause->field.empty() ? cause->message : fmt::format("{} {}", cause->field, cause->message));
    link.cause = chain;
    chain = std::make_shared<const base::Error>(std::move(link));
  }
  error.cause = chain;
  return error;
}

Receipt to_receipt(const api_client::Receipt& r) {
  return {r.sequence, r.root, r.signatures, r.voters};
}

}  // namespace

Api::Api(Loop& loop, Options options) : loop_(loop), options_(std::move(options)) {
  api_client::Config config;
  config.endpoints = options_.endpoints;
  config.role = options_.role;
  config.trace_id = options_.trace_id;
  client_ = std::make_unique<api_client::Client>(loop_.executor(), std::move(config));
}

Api::~Api() = default;

base::Error Api::refusal(base::Error error) {
  const auto& failure = client_->failure();
  if (!failure || failure->error.message != error.message) return error;
  refusal_trace_ = failure->trace_id;
  return with_reasons(std::move(error), *failure);
}

base::Error Api::read_refusal(const Json& status) {
  const api_client::Failure failure =
      api_client::failure_of(static_cast<int>(number_at(status, {"code"}, 500)),
                             status.dump(-1, ' ', false, Json::error_handler_t::replace));
  refusal_trace_ = failure.trace_id;
  return with_reasons(failure.error, failure);
}

template <class T>
Result<T> Api::checked(Result<T> result) {
  refusal_trace_.clear();
  if (!result) return std::unexpected(refusal(std::move(result).error()));
  return result;
}

Result<Json> Api::get(std::string path, std::string_view accept) {
  TRY(Answer answer, send("GET", std::move(path), nullptr, "application/json", {}, accept));
  return std::move(answer.body);
}

Result<Answer> Api::send(std::string method, std::string path, const Json& body,
                         std::string content_type, std::optional<base::Duration> answer_max,
                         std::string_view accept) {
  api_client::Request request;
  if (!accept.empty()) request.headers.add("Accept", std::string(accept));
  request.method = method;
  request.path = path;
  request.content_type = std::move(content_type);
  request.answer_max = answer_max;
  if (!body.is_null()) request.body = body.dump(-1, ' ', false, Json::error_handler_t::replace);
  const auto start = std::chrono::steady_clock::now();
  if (options_.trace) options_.trace(fmt::format("{} {}", method, path));
  auto response =
      loop_.run(client_->request(std::move(request)), options_.request_max, "an answer");
  refusal_trace_.clear();
  if (!response) return std::unexpected(std::move(response).error());
  if (options_.trace) {
    options_.trace(fmt::format("{} in {}, trace {}", response->status,
                               show_took(std::chrono::steady_clock::now() - start),
                               response->trace_id()));
  }
  if (options_.trace && options_.trace_answers) {
    constexpr std::size_t kShownBytesMax = 4096;
    options_.trace(response->body.substr(0, kShownBytesMax));
  }
  if (!response->ok()) {
    const api_client::Failure failure = api_client::failure_of(response->status, response->body);
    refusal_trace_ = failure.trace_id;
    return std::unexpected(with_reasons(failure.error, failure));
  }
  Answer answer;
  answer.status = response->status;
  if (const auto receipt = response->receipt()) answer.receipt = to_receipt(*receipt);
  answer.changed = response->changed();
  answer.warnings = response->warnings();
  const auto type = response->headers.get("Content-Type").value_or("application/json");
  if (type.starts_with("application/json")) {
    TRY(answer.body, read_answer(response->body));
  } else {
    answer.body = std::move(response->body);
  }
  return answer;
}

namespace {

Task<Result<std::string>> read_lines(api_client::Client& client, api_client::Request request,
                                     const std::function<Result<bool>(std::string_view)>& on_line) {
  CO_TRY(const auto stream, co_await client.stream(std::move(request)));
  for (;;) {
    CO_TRY(const auto line, co_await stream->next_line());
    if (!line) co_return std::string();
    CO_TRY(const bool more, on_line(*line));
    if (!more) co_return std::string();
  }
}

Task<Result<std::string>> read_bytes(api_client::Client& client, api_client::Request request,
                                     const std::function<Result<>(std::string_view)>& on_bytes) {
  CO_TRY(const auto stream, co_await client.stream(std::move(request)));
  for (;;) {
    CO_TRY(const base::Bytes bytes, co_await stream->read_some());
    if (bytes.empty()) co_return std::string();
    CO_TRY_DO(on_bytes(base::as_text(bytes)));
  }
}

}  // namespace

Result<> Api::lines(std::string method, std::string path, const Json& body,
                    const std::function<Result<bool>(std::string_view)>& on_line,
                    std::optional<base::Duration> limit) {
  api_client::Request request;
  request.method = std::move(method);
  request.path = std::move(path);
  if (!body.is_null()) request.body = body.dump();
  if (options_.trace) options_.trace(fmt::format("{} {} (stream)", request.method, request.path));
  TRY_DO(
      checked(loop_.run(read_lines(*client_, std::move(request), on_line), limit, "the answer")));
  return {};
}

Result<> Api::download(std::string path,
                       const std::function<Result<>(std::string_view)>& on_bytes) {
  api_client::Request request;
  request.path = std::move(path);
  if (options_.trace) options_.trace(fmt::format("GET {} (download)", request.path));
  TRY_DO(checked(loop_.run(read_bytes(*client_, std::move(request), on_bytes))));
  return {};
}

namespace {

Task<Result<base::Bytes>> next_piece(const std::function<Result<std::string>()>& next) {
  CO_TRY(const std::string piece, next());
  const base::BytesView view = base::as_bytes(piece);
  co_return base::Bytes(view.begin(), view.end());
}

}  // namespace

Result<Answer> Api::upload(std::string method, std::string path, std::string content_type,
                           const std::function<Result<std::string>()>& next) {
  api_client::Request request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.content_type = std::move(content_type);
  request.answer_max = 10min;  // the other end unpacks what it was sent
  if (options_.trace) options_.trace(fmt::format("{} {} (upload)", request.method, request.path));
  const auto pieces = [&next] { return next_piece(next); };
  TRY(const auto response, checked(loop_.run(client_->upload(std::move(request), pieces))));
  Answer answer;
  answer.status = response.status;
  if (const auto receipt = response.receipt()) answer.receipt = to_receipt(*receipt);
  answer.changed = response.changed();
  answer.warnings = response.warnings();
  TRY(answer.body, read_answer(response.body));
  return answer;
}

namespace {

Result<WatchEvent> read_event(std::string_view line) {
  TRY(Json json, read_answer(line));
  if (!json.is_object())
    return base::fail(base::Errc::DataLoss, "the node's answer to a watch is no event");
  WatchEvent event{text_at(json, {"type"}), std::move(json["object"])};
  if (event.type != "ERROR") return event;
  return std::unexpected(
      api_client::failure_of(static_cast<int>(number_at(event.object, {"code"}, 500)),
                             event.object.dump())
          .error);
}

std::string watch_path(std::string path, const std::string& resource_version) {
  path += path.find('?') == std::string::npos ? "?" : "&";
  return path + "watch=1&allowWatchBookmarks=true&resourceVersion=" + resource_version;
}

}  // namespace

Result<bool> Api::wait_change(std::string path, const std::string& resource_version,
                              base::Duration limit) {
  if (limit <= base::Duration::zero()) return false;
  api_client::Request request;
  request.path = watch_path(std::move(path), resource_version);
  const auto first_event = [](std::string_view line) -> Result<bool> {
    TRY(const WatchEvent event, read_event(line));
    return event.type == "BOOKMARK";
  };
  auto end = loop_.run(read_lines(*client_, std::move(request), first_event), limit, "a change");
  if (end) return true;
  switch (end.error().code) {
    case base::Errc::TimedOut:
      return false;
    case base::Errc::FailedPrecondition:
      return true;
    case base::Errc::Unavailable:
      TRY_DO(loop_.pause(kReconnectPause));
      return true;
    default:
      return std::unexpected(refusal(std::move(end).error()));
  }
}

Result<> Api::watch(std::string path, std::string resource_version,
                    const std::function<Result<bool>(const WatchEvent&)>& on_event) {
  auto last_good = std::chrono::steady_clock::now();
  for (;;) {
    api_client::Request request;
    request.path = watch_path(path, resource_version);
    if (options_.trace) options_.trace(fmt::format("GET {}", request.path));
    bool enough = false;
    const auto on_line = [&](std::string_view line) -> Result<bool> {
      TRY(const WatchEvent event, read_event(line));
      if (const std::string version = text_at(event.object, {"metadata", "resourceVersion"});
          !version.empty())
        resource_version = version;
      last_good = std::chrono::steady_clock::now();
      if (event.type == "BOOKMARK") return true;
      TRY(const bool more, on_event(event));
      enough = !more;
      return more;
    };
    auto end = loop_.run(read_lines(*client_, std::move(request), on_line));
    if (enough) return {};
    if (end) {
      last_good = std::chrono::steady_clock::now();
    } else if (end.error().code != base::Errc::Unavailable ||
               std::chrono::steady_clock::now() - last_good > kAwayMax) {
      return std::unexpected(refusal(std::move(end).error()));
    }
    TRY_DO(loop_.pause(kReconnectPause));
  }
}

}  // namespace cli
