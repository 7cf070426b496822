#include "api/route.hpp"

#include <gtest/gtest.h>

namespace nexus::api {
namespace {

struct Case {
  const char* method;
  const char* target;
  int status;          // 0: found
  const char* access;  // describe() of what is asked
};

const std::vector<Case> kCases = {
    {"GET", "/healthz", 0, "get "},
    {"GET", "/version", 0, "get discovery"},
    {"GET", "/api/v1", 0, "get discovery"},
    {"GET", "/apis/apps", 0, "get discovery"},
    {"GET", "/apis/apps/v1", 0, "get discovery"},
    {"GET", "/apis/apps/v9", 404, ""},
    {"GET", "/openapi/v3/apis/apps/v1", 0, "get discovery"},
    {"GET", "/api/v1/pods", 0, "list pods"},
    {"GET", "/api/v1/pods?watch=1", 0, "watch pods"},
    {"GET", "/api/v1/pods?watch=perhaps", 400, ""},
    {"GET", "/api/v1/namespaces/prod/pods", 0, "list pods in namespace prod"},
    {"POST", "/api/v1/namespaces/prod/pods", 0, "create pods in namespace prod"},
    {"POST", "/api/v1/pods", 405, ""},
    {"DELETE", "/api/v1/namespaces/prod/pods", 0, "delete pods in namespace prod"},
    {"DELETE", "/api/v1/pods", 405, ""},
    {"PUT", "/api/v1/namespaces/prod/pods", 405, ""},
    {"GET", "/api/v1/namespaces/prod/pods/web", 0, "get pods web in namespace prod"},
    {"PATCH", "/apis/apps/v1/namespaces/prod/deployments/web", 0,
     "patch deployments web in namespace prod"},
    {"PATCH", "/apis/apps/v1/namespaces/prod/deployments/web/scale", 0,
     "patch deployments/scale web in namespace prod"},
    {"GET", "/apis/apps/v1/namespaces/prod/deployments/web/log", 404, ""},
    {"GET", "/api/v1/namespaces/prod/deployments/web", 404, ""},
    {"GET", "/api/v1/pods/web", 404, ""},
    {"GET", "/api/v1/namespaces", 0, "list namespaces"},
    {"POST", "/api/v1/namespaces", 0, "create namespaces"},
    {"GET", "/api/v1/namespaces/prod", 0, "get namespaces prod"},
    {"PUT", "/api/v1/namespaces/prod/status", 0, "update namespaces/status prod"},
    {"GET", "/api/v1/nodes/n1", 0, "get nodes n1"},
    {"GET", "/api/v1/namespaces/prod/nodes/n1", 404, ""},
    {"DELETE", "/api/v1/nodes/n1", 405, ""},
    {"POST", "/api/v1/namespaces/prod/events", 405, ""},
    {"GET", "/api/v1/namespaces/prod/pods/web/exec?command=sh", 0,
     "create pods/exec web in namespace prod"},
    {"POST", "/api/v1/namespaces/prod/pods/web/exec", 0, "create pods/exec web in namespace prod"},
    {"DELETE", "/api/v1/namespaces/prod/pods/web/log", 405, ""},
    {"GET", "/api/v1/namespaces/prod/pods/web/log/more", 404, ""},
    {"GET", "/apis/networking.k8s.io/v1/namespaces/x/ingresses", 404, ""},
    {"GET", "/api/v1/namespaces/a%2Fb/pods", 400, ""},
    {"GET", "/api/v1/namespaces/prod/pods/a%22b", 400, ""},
    {"GET", "/apis/hypermesh.io/v1", 0, "get discovery"},
    {"GET", "/apis/hypermesh.io/v1/node", 0, "get node"},
    {"POST", "/apis/hypermesh.io/v1/node", 405, ""},
    {"GET", "/apis/hypermesh.io/v1/why/prod/pod/web-1", 0, "get why web-1 in namespace prod"},
    {"POST", "/apis/hypermesh.io/v1/deployments/prod/web/rollback", 0,
     "update deployments/rollback web in namespace prod"},
    {"GET", "/apis/hypermesh.io/v1/deployments/a%2Fb/web/history", 400, ""},
    {"DELETE", "/apis/hypermesh.io/v1/images?reference=x", 0, "delete images"},
    {"PUT", "/apis/hypermesh.io/v1/images", 405, ""},
    {"GET", "/apis/hypermesh.io/v1/audit/17/proof", 0, "get audit"},
    {"GET", "/apis/hypermesh.io/v1/nothing", 404, ""},
    {"GET", "/favicon.ico", 404, ""},
    {"GET", "/", 404, ""},
    {"GET", "/api/v1/namespaces/prod/pods/web/status/x/y", 404, ""},
};

TEST(Route, FindsWhatIsAskedAndTheRightItNeeds) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(std::string(c.method) + " " + c.target);
    const auto target = parse_target(c.target);
    ASSERT_TRUE(target);
    const auto route = find_route(c.method, *target);
    if (c.status != 0) {
      ASSERT_FALSE(route);
      EXPECT_EQ(http_status(route.error()), c.status) << route.error().error.message;
      continue;
    }
    ASSERT_TRUE(route) << route.error().error.message;
    EXPECT_EQ(describe(route->access), c.access);
  }
}

TEST(Route, OnlyHealthIsOpenToAll) {
  for (const Case& c : kCases) {
    const auto route = find_route(c.method, *parse_target(c.target));
    if (route) EXPECT_EQ(route->open_to_all, std::string_view(c.target) == "/healthz") << c.target;
  }
}

TEST(Route, EveryRouteHasARuleOfAccess) {
  for (const Case& c : kCases) {
    const auto route = find_route(c.method, *parse_target(c.target));
    if (route && !route->open_to_all)
      EXPECT_TRUE(decide({"root", Role::Admin, "unix"}, route->access).allowed) << c.target;
  }
}

TEST(Route, ARefusalSaysWhereToLook) {
  const auto other_group =
      find_route("GET", *parse_target("/api/v1/namespaces/prod/deployments/web"));
  EXPECT_EQ(other_group.error().error.hints.at(0), "deployments are at /apis/apps/v1");
  const auto unserved = find_route("GET", *parse_target("/apis/apps/v1/namespaces/x/statefulsets"));
  EXPECT_NE(unserved.error().error.hints.at(0).find("Deployment"), std::string::npos);
  const auto method = find_route("PUT", *parse_target("/api/v1/namespaces/prod/pods"));
  EXPECT_EQ(method.error().error.message,
            "PUT is not served at /api/v1/namespaces/prod/pods; there is GET, POST, DELETE");
}

}  // namespace
}  // namespace nexus::api
