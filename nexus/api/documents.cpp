// Discovery, OpenAPI, version, health and metrics.

#include <fmt/format.h>

#include "api/discovery.hpp"
#include "api/handlers.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

/// The version of Kubernetes' API whose shape is served: what clients compare themselves with.
constexpr std::string_view kKubernetesMajor = "1", kKubernetesMinor = "32";

Json version_document(const NodeInfo& node) {
  return {{"major", kKubernetesMajor},
          {"minor", kKubernetesMinor},
          {"gitVersion",
           fmt::format("v{}.{}.0+hypermesh-{}", kKubernetesMajor, kKubernetesMinor, node.version)},
          {"gitCommit", ""},
          {"gitTreeState", ""},
          {"buildDate", ""},
          {"goVersion", ""},
          {"compiler", ""},
          {"platform", "linux"},
          {"hypermesh", node.version}};
}

Reply<Json> document_of(const Exchange& exchange) {
  switch (exchange.route.endpoint) {
    case Endpoint::ApiVersions:
      return api_versions();
    case Endpoint::ApiGroups:
      return api_groups();
    case Endpoint::ApiGroup:
      return api_group(exchange.route.parameter);
    case Endpoint::ApiResources:
      return api_resources(exchange.route.parameter.empty() ? "hypermesh.io/v1"
                                                            : exchange.route.parameter);
    case Endpoint::Version:
      return version_document(exchange.backend().node());
    case Endpoint::OpenApiIndex:
      return openapi_index();
    case Endpoint::OpenApiGroup:
      return openapi_document(exchange.route.parameter);
    default:
      return refuse(base::Errc::Internal, "a document that nobody writes");
  }
}

}  // namespace

base::Task<Reply<>> give_document(Exchange& exchange) {
  CO_TRY(const Json document, document_of(exchange));
  co_return co_await exchange.answer(200, document);
}

base::Task<Reply<>> give_health(Exchange& exchange) {
  if (exchange.route.endpoint == Endpoint::Ready) {
    const std::string state = exchange.backend().node().state;
    if (state == "Starting" || state == "Stopping")
      co_return co_await exchange.answer_text(503, "text/plain", state);
  }
  co_return co_await exchange.answer_text(200, "text/plain", "ok");
}

base::Task<Reply<>> give_metrics(Exchange& exchange) {
  return exchange.answer_text(200, "text/plain; version=0.0.4; charset=utf-8",
                              exchange.backend().metrics.expose());
}

}  // namespace nexus::api
