// Pulls an image and tells how far it is.

#include <base/async/task_scope.hpp>

#include "api/handlers.hpp"
#include "api/image_routes.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

struct PullRequest {
  std::string reference;
  PullPolicy policy = PullPolicy::IfNotPresent;
  std::optional<RegistryCredentials> credentials;
};

std::string text_in(const Json& body, const char* name) {
  const auto found = body.find(name);
  return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Reply<PullRequest> parse_pull(const Json& body) {
  if (!body.is_object() || text_in(body, "reference").empty())
    return bad_request(R"(the body is {"reference":"registry.example/web:1"})");
  PullRequest request;
  request.reference = text_in(body, "reference");
  const std::string policy = text_in(body, "policy");
  if (policy == "Always") {
    request.policy = PullPolicy::Always;
  } else if (!policy.empty() && policy != "IfNotPresent") {
    return bad_request("policy is neither Always nor IfNotPresent");
  }
  if (const std::string user = text_in(body, "user"); !user.empty())
    request.credentials = RegistryCredentials{user, text_in(body, "password")};
  return request;
}

struct Pull {
  explicit Pull(const base::Executor& executor) : ended(executor) {}
  base::Event ended;
  std::optional<base::Result<ImageStatus>> result;
};

base::Task<> pull(WorkloadDriver& driver, PullRequest request, Pull& into) {
  into.result = co_await driver.pull_image(std::move(request.reference), request.policy,
                                           std::move(request.credentials));
  into.ended.notify();
}

std::string progress_line(const Exchange& exchange, const std::string& reference) {
  const auto pulls = exchange.backend().images == nullptr ? std::vector<ImagePullProgress>()
                                                          : exchange.backend().images->pulls();
  const ImagePullProgress* mine = nullptr;
  for (const ImagePullProgress& one : pulls) {
    // The driver may name the image in full; with a single pull there is no doubt.
    if (one.reference == reference || one.reference.ends_with("/" + reference) || pulls.size() == 1)
      mine = &one;
  }
  if (mine == nullptr) return {};
  return to_text({{"type", "Progress"},
                  {"reference", reference},
                  {"bytesDone", mine->bytes_done},
                  {"bytesTotal", mine->bytes_total},
                  {"layersDone", mine->layers_done},
                  {"layersTotal", mine->layers_total}}) +
         "\n";
}

std::string last_line(const base::Result<ImageStatus>& result, const Reply<std::string>& receipt,
                      const std::string& trace_id) {
  if (!receipt) {
    return to_text({{"type", "Error"}, {"status", to_status(receipt.error(), trace_id)}}) + "\n";
  }
  if (!result)
    return to_text({{"type", "Error"}, {"status", to_status(Refusal(result.error()), trace_id)}}) +
           "\n";
  return to_text({{"type", "Done"},
                  {"image",
                   {{"reference", result->reference},
                    {"resolved", result->resolved},
                    {"bytes", result->bytes}}},
                  {"receipt", Json::parse(*receipt)}}) +
         "\n";
}

base::Task<Reply<>> tell_progress(Exchange& exchange, Pull& pull, const std::string& reference) {
  std::string told;
  while (!pull.result) {
    co_await pull.ended.wait_for(exchange.shared.limits.pull_progress_interval);
    std::string line = progress_line(exchange, reference);
    if (pull.result || line.empty() || line == told) continue;
    CO_TRY_DO(co_await exchange.write(line));
    told = std::move(line);
  }
  co_return Reply<>{};
}

base::Task<Reply<>> tell_end(Exchange& exchange, std::string line) {
  CO_TRY_DO(co_await exchange.write(line));
  co_return co_await exchange.end_stream();
}

}  // namespace

base::Task<Reply<>> pull_image(Exchange& exchange) {
  CO_TRY(const Json body, co_await exchange.json_body());
  CO_TRY(PullRequest request, parse_pull(body));
  const std::string reference = request.reference;
  exchange.connection.close_after_answer();
  CO_TRY_DO(co_await exchange.begin_stream("application/x-ndjson"));
  // A client that goes away ends the pull; what was fetched is kept for the next one.
  const auto executor = co_await base::asio::this_coro::executor;
  Pull state(executor);
  base::TaskScope scope(executor);
  co_await base::asio::this_coro::throw_if_cancelled(false);
  scope.spawn(pull(exchange.backend().driver, std::move(request), state));
  auto told =
      co_await until_peer_gone(exchange.connection, tell_progress(exchange, state, reference));
  scope.cancel();
  co_await scope.join();
  const base::Result<ImageStatus> result =
      std::move(state.result)
          .value_or(base::fail(base::Errc::Cancelled, "the client went away before the image"));
  // How it went stands in the log also when nobody is there any more to hear it.
  const auto receipt =
      co_await exchange.record("pull", "image/" + reference, "", audit_result(result));
  if (told) {
    told = co_await until_peer_gone(
        exchange.connection, tell_end(exchange, last_line(result, receipt, exchange.trace_id)));
  }
  co_await base::asio::this_coro::throw_if_cancelled(true);
  co_return told;
}

}  // namespace nexus::api
