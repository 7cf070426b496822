#include "api/api_server.hpp"

#include <fmt/format.h>

#include <boost/asio/multiple_exceptions.hpp>
#include <nlohmann/json.hpp>

#include "api/event_feed.hpp"
#include "api/exchange.hpp"
#include "api/handlers.hpp"
#include "api/spool_file.hpp"
#include "audit/audit_log.hpp"

namespace nexus::api {
namespace {

constexpr std::size_t kTraceIdCharactersMax = 64;
// Between two tries to accept while file descriptors are used up.
constexpr auto kAcceptPause = std::chrono::milliseconds(100);

Handler handler_of(const Route& route) {
  switch (route.endpoint) {
    case Endpoint::Collection:
      if (route.access.verb == AccessVerb::Watch) return watch_objects;
      if (route.access.verb == AccessVerb::Create) return create_object;
      if (route.access.verb == AccessVerb::Delete) return delete_collection;
      return list_objects;
    case Endpoint::Object:
    case Endpoint::ObjectStatus:
    case Endpoint::ObjectScale:
      if (route.access.verb == AccessVerb::Update) return replace_object;
      if (route.access.verb == AccessVerb::Patch) return patch_object;
      if (route.access.verb == AccessVerb::Delete) return delete_object;
      return route.endpoint == Endpoint::ObjectScale ? get_scale : get_object;
    case Endpoint::PodLog:
      return read_log;
    case Endpoint::PodExec:
      return run_exec;
    case Endpoint::PodAttach:
      return run_attach;
    case Endpoint::PodPortForward:
      return forward_port;
    case Endpoint::Healthy:
    case Endpoint::Ready:
      return give_health;
    case Endpoint::Metrics:
      return give_metrics;
    case Endpoint::Version:
    case Endpoint::ApiVersions:
    case Endpoint::ApiGroups:
    case Endpoint::ApiGroup:
    case Endpoint::ApiResources:
    case Endpoint::OpenApiIndex:
    case Endpoint::OpenApiGroup:
      return give_document;
    case Endpoint::Node:
      return give_node;
    case Endpoint::WhoAmI:
      return who_am_i;
    case Endpoint::CanI:
      return can_i;
    case Endpoint::Ps:
      return list_pod_rows;
    case Endpoint::Why:
      return explain_why;
    case Endpoint::History:
      return give_history;
    case Endpoint::Rollback:
    case Endpoint::Restart:
    case Endpoint::Pause:
    case Endpoint::Resume:
      return change_rollout;
    case Endpoint::ImageList:
      return list_images;
    case Endpoint::ImageInspect:
      return inspect_image;
    case Endpoint::ImagePull:
      return pull_image;
    case Endpoint::ImageImport:
      return import_image;
    case Endpoint::ImageExport:
      return export_image;
    case Endpoint::ImageRemove:
      return remove_image;
    case Endpoint::ImageGc:
      return collect_garbage;
    case Endpoint::Top:
      return give_top;
    case Endpoint::Doctor:
      return run_doctor;
    case Endpoint::ConfigEffective:
      return give_configuration;
    case Endpoint::FilesRead:
      return read_files;
    case Endpoint::FilesWrite:
      return write_files;
    case Endpoint::AuditList:
      return list_audit;
    case Endpoint::AuditProof:
      return prove_audit;
    case Endpoint::AuditVerify:
      return verify_audit;
    case Endpoint::AuditExport:
      return export_audit;
  }
  return nullptr;
}

// Lasts as long as its client wants: its duration says nothing about the server.
bool is_long(const Route& route, const Query& query) {
  switch (route.endpoint) {
    case Endpoint::PodExec:
    case Endpoint::PodAttach:
    case Endpoint::PodPortForward:
    case Endpoint::FilesRead:
    case Endpoint::FilesWrite:
    case Endpoint::ImagePull:
    case Endpoint::ImageImport:
    case Endpoint::ImageExport:
    case Endpoint::Top:
      return true;
    case Endpoint::PodLog:
      return query.flag("follow").value_or(false);
    default:
      return route.access.verb == AccessVerb::Watch;
  }
}

bool is_trace_id(std::string_view text) {
  return !text.empty() && text.size() <= kTraceIdCharactersMax &&
         std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                  c == '.' || c == '_' || c == '-';
         });
}

}  // namespace

struct ApiServer::State {
  State(const base::Executor& on, Backend backend, TokenTable known, std::uint32_t owner_uid,
        Limits limits, base::http::ServerLimits http)
      : executor(on),
        shared{std::move(backend), limits, Seats("watches", limits.watches_max),
               Seats("sessions", limits.sessions_max)},
        feed(on, shared.backend.events),
        tokens(std::move(known)),
        owner(owner_uid),
        http_limits(http),
        seats("connections", limits.connections_max),
        listening(on),
        serving(on),
        idle(on) {
    shared.event_feed = &feed;
    SpoolFile::remove_leftovers(shared.backend.spool);
  }

  base::Task<> accept(base::http::Listener& listener);
  base::Task<> serve_one(base::http::Accepted accepted, Seats::Seat seat);
  base::Task<> converse(base::http::ServerConnection& connection, const base::http::Peer& peer);
  base::Task<> answer_request(base::http::ServerConnection& connection,
                              const base::http::Peer& peer, const base::http::RequestHead& head);
  base::Task<Reply<>> handle(base::http::ServerConnection& connection, const base::http::Peer& peer,
                             const base::http::RequestHead& head, const std::string& trace_id,
                             std::string& verb, std::string& resource, bool& measured);
  Reply<Principal> authenticate(const base::http::Peer& peer,
                                const base::http::RequestHead& head) const;
  base::Task<> record_denial(const Principal& principal, const Route& route,
                             const std::string& reason, const std::string& trace_id);
  std::string make_trace_id();

  base::Executor executor;
  Shared shared;
  EventFeed feed;
  TokenTable tokens;
  std::uint32_t owner;
  base::http::ServerLimits http_limits;
  Seats seats;
  std::vector<std::unique_ptr<base::http::Listener>> listeners;
  base::TaskScope listening, serving;
  base::Event idle;  // Notified when a connection ends.
  bool stopping = false;
};

ApiServer::ApiServer(const base::Executor& executor, Backend backend, TokenTable tokens,
                     std::uint32_t owner, Limits limits, base::http::ServerLimits http_limits)
    : state_(std::make_unique<State>(executor, std::move(backend), std::move(tokens), owner, limits,
                                     http_limits)) {}
ApiServer::~ApiServer() = default;

std::size_t ApiServer::connections() const {
  return state_->seats.taken();
}

void ApiServer::serve(std::unique_ptr<base::http::Listener> listener) {
  state_->listeners.push_back(std::move(listener));
  state_->listening.spawn(state_->accept(*state_->listeners.back()));
}

base::Task<> ApiServer::stop() {
  State& s = *state_;
  s.stopping = true;
  for (auto& listener : s.listeners) listener->close();
  s.listening.cancel();
  co_await s.listening.join();
  const auto deadline = std::chrono::steady_clock::now() + s.shared.limits.stop_grace;
  while (s.serving.size() > 0 && std::chrono::steady_clock::now() < deadline) {
    co_await s.idle.wait_for(deadline - std::chrono::steady_clock::now());
  }
  s.serving.cancel();
  co_await s.serving.join();
}

base::Task<> ApiServer::State::accept(base::http::Listener& listener) {
  while (!stopping) {
    auto accepted = co_await listener.accept();
    if (!accepted) {
      if (accepted.error().code == base::Errc::Cancelled) co_return;
      shared.backend.log.warning("a connection was not accepted",
                                 {{"on", listener.address()}, {"error", accepted.error()}});
      co_await base::sleep_for(kAcceptPause);
      continue;
    }
    auto seat = seats.take();
    if (!seat) {
      // Nobody is answered who cannot be served: that would cost what is short.
      shared.backend.metrics
          .counter("nexus_api_connections_refused_total",
                   "Connections closed because all are in use")
          .add();
      continue;
    }
    serving.spawn(serve_one(*std::move(accepted), *std::move(seat)));
  }
}

base::Task<> ApiServer::State::serve_one(base::http::Accepted accepted, Seats::Seat seat) {
  {
    const Seats::Seat taken = std::move(seat);
    base::http::ServerConnection connection(executor, std::move(accepted.stream), http_limits);
    try {
      co_await converse(connection, accepted.peer);
    } catch (const base::asio::multiple_exceptions&) {
      // Both halves of a parallel wait were cancelled: so was this connection.
    }
  }
  idle.notify();
}

base::Task<> ApiServer::State::converse(base::http::ServerConnection& connection,
                                        const base::http::Peer& peer) {
  for (;;) {
    auto head = co_await connection.next_request();
    if (!head) {
      if (head.error().status == 0) continue;
      Refusal refusal(std::move(head.error().error));
      refusal.status = head.error().status;
      refusal.reason = "BadRequest";
      const std::string trace_id = make_trace_id();
      (void)co_await connection.respond(
          refusal.status, {{"Content-Type", "application/json"}, {"X-Trace-Id", trace_id}},
          to_text(to_status(refusal, trace_id)));
      continue;
    }
    if (!*head) co_return;
    const base::http::RequestHead request = **std::move(head);
    if (stopping) connection.close_after_answer();
    co_await answer_request(connection, peer, request);
  }
}

base::Task<> ApiServer::State::answer_request(base::http::ServerConnection& connection,
                                              const base::http::Peer& peer,
                                              const base::http::RequestHead& head) {
  const auto wanted = head.headers.get("X-Trace-Id");
  const std::string trace_id =
      wanted && is_trace_id(*wanted) ? std::string(*wanted) : make_trace_id();
  const base::Log log = shared.backend.log.with_trace(trace_id);
  const auto began = std::chrono::steady_clock::now();
  std::string verb = "unknown", resource;
  bool measured = true;
  Reply<> reply;
  try {
    reply = co_await handle(connection, peer, head, trace_id, verb, resource, measured);
  } catch (const Json::exception& thrown) {
    // An object of a shape that nobody thought of must not end the node.
    log.error("a handler failed", {{"target", head.target}, {"what", thrown.what()}});
    reply = std::unexpected(
        Refusal(base::make_error(base::Errc::Internal, "the request could not be carried out")));
  }
  int code = 200;
  if (!reply) {
    const Refusal& refusal = reply.error();
    code = http_status(refusal);
    if (connection.answered()) {
      connection.close_after_answer();
      connection.close();
    } else {
      base::http::Headers headers{{"Content-Type", "application/json"},
                                  {"Cache-Control", "no-store"},
                                  {"X-Trace-Id", trace_id}};
      if (code == 401) headers.add("WWW-Authenticate", "Bearer");
      if (code == 429) headers.add("Retry-After", "1");
      (void)co_await connection.respond(code, std::move(headers),
                                        to_text(to_status(refusal, trace_id)));
    }
    if (code >= 500 && refusal.error.code != base::Errc::Cancelled)
      log.warning("a request failed",
                  {{"verb", verb}, {"target", head.target}, {"error", refusal.error}});
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  base::Metrics& metrics = shared.backend.metrics;
  metrics
      .counter("nexus_api_requests_total", "Requests answered",
               {{"verb", verb}, {"kind", resource}, {"code", std::to_string(code)}})
      .add();
  if (measured) {
    metrics
        .histogram("nexus_api_request_seconds", "From a request's head to the end of its answer",
                   {{"verb", verb}, {"kind", resource}, {"code", std::to_string(code)}})
        .observe(seconds);
  }
  log.debug("request", {{"method", head.method},
                        {"target", head.target},
                        {"code", code},
                        {"seconds", seconds},
                        {"peer", peer.address}});
}

Reply<Principal> ApiServer::State::authenticate(const base::http::Peer& peer,
                                                const base::http::RequestHead& head) const {
  if (peer.local && (peer.uid == 0 || peer.uid == owner)) {
    return Principal{peer.uid == 0 ? "root" : fmt::format("uid:{}", peer.uid), Role::Admin,
                     peer.address};
  }
  if (const auto header = head.headers.get("Authorization")) {
    if (auto found = tokens.find(bearer_token(*header))) {
      found->origin = peer.address;
      return *std::move(found);
    }
    return refuse(base::Errc::Unauthenticated, "the token is not known here",
                  "use the token of this node's token file");
  }
  if (peer.local)
    return refuse(base::Errc::Unauthenticated,
                  fmt::format("user {} is neither root nor the node's owner", peer.uid),
                  "use sudo, or HTTPS with a token");
  return refuse(base::Errc::Unauthenticated, "no token was sent", "Authorization: Bearer TOKEN");
}

base::Task<> ApiServer::State::record_denial(const Principal& principal, const Route& route,
                                             const std::string& reason,
                                             const std::string& trace_id) {
  AuditEntry entry;
  entry.time = shared.backend.clock.wall();
  entry.who = principal.user;
  entry.role = to_string(principal.role);
  entry.action = route.access.subresource.empty() ? std::string(to_string(route.access.verb))
                                                  : route.access.subresource;
  entry.name_space = route.access.name_space;
  const std::string_view singular =
      route.kind != nullptr ? route.kind->singular : std::string_view(route.access.resource);
  entry.object = fmt::format("{}/{}", singular, route.access.name);
  entry.result = "denied";
  entry.detail = reason;
  entry.origin = principal.origin;
  entry.trace_id = trace_id;
  if (auto recorded = co_await shared.backend.audit.record(std::move(entry)); !recorded) {
    shared.backend.log.error("a denial could not be recorded", {{"error", recorded.error()}});
  }
}

base::Task<Reply<>> ApiServer::State::handle(base::http::ServerConnection& connection,
                                             const base::http::Peer& peer,
                                             const base::http::RequestHead& head,
                                             const std::string& trace_id, std::string& verb,
                                             std::string& resource, bool& measured) {
  auto target = parse_target(head.target);
  Reply<Route> route =
      target ? find_route(head.method, *target) : Reply<Route>(std::unexpected(target.error()));
  Principal principal;
  if (!route || !route->open_to_all) {
    // What there is, is told to those alone who are known.
    CO_TRY(principal, authenticate(peer, head));
    if (const auto role = head.headers.get("HyperMesh-As-Role")) {
      CO_TRY(principal, act_as(std::move(principal), *role));
    }
  }
  if (!route) co_return std::unexpected(std::move(route).error());
  verb = to_string(route->access.verb);
  resource = route->access.subresource.empty()
                 ? route->access.resource
                 : fmt::format("{}/{}", route->access.resource, route->access.subresource);
  measured = !is_long(*route, target->query);
  if (!route->open_to_all) {
    const Decision decision = decide(principal, route->access);
    if (!decision.allowed) {
      co_await record_denial(principal, *route, decision.reason, trace_id);
      auto denied = refuse(base::Errc::Forbidden, decision.reason);
      denied.error().resource = route->access.resource;
      denied.error().name = route->access.name;
      if (route->kind != nullptr) denied.error().group = route->kind->group;
      co_return denied;
    }
  }
  Exchange exchange{shared, connection, head, *target, *route, principal, trace_id};
  auto reply = co_await handler_of(*route)(exchange);
  // What a handler refuses for the sake of somebody's role is a denial like any other.
  if (!reply && reply.error().error.code == base::Errc::Forbidden)
    co_await record_denial(principal, *route, reply.error().error.message, trace_id);
  co_return reply;
}

std::string ApiServer::State::make_trace_id() {
  return fmt::format("{:016x}", shared.backend.rng.u64());
}

}  // namespace nexus::api
