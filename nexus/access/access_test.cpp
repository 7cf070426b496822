#include <gtest/gtest.h>

#include <nexus/access.hpp>
#include <nlohmann/json.hpp>

#include "access/pod_privileges.hpp"
#include "access/token_table.hpp"

namespace nexus {
namespace {

using Json = nlohmann::json;

struct Case {
  AccessVerb verb;
  const char* resource;
  const char* subresource;
  std::optional<Role> least;  // Empty: nobody.
};

const std::vector<Case> kCases = {
    {AccessVerb::Get, "pods", "", Role::View},
    {AccessVerb::Watch, "deployments", "", Role::View},
    {AccessVerb::Get, "pods", "log", Role::View},
    {AccessVerb::Get, "pods", "exec", Role::Edit},
    {AccessVerb::Create, "pods", "exec", Role::Edit},
    {AccessVerb::List, "secrets", "", Role::Edit},
    {AccessVerb::Get, "secrets", "", Role::Edit},
    {AccessVerb::Delete, "secrets", "", Role::Edit},
    {AccessVerb::Create, "deployments", "", Role::Edit},
    {AccessVerb::Update, "deployments", "scale", Role::Edit},
    {AccessVerb::Update, "deployments", "status", Role::Admin},
    {AccessVerb::Create, "namespaces", "", Role::Admin},
    {AccessVerb::List, "namespaces", "", Role::View},
    {AccessVerb::Create, "images", "pull", Role::Edit},
    {AccessVerb::Create, "images", "import", Role::Admin},
    {AccessVerb::List, "audit", "", Role::Admin},
    {AccessVerb::Get, "config", "", Role::Admin},
    {AccessVerb::Create, "events", "", std::nullopt},
    {AccessVerb::Get, "unheard-of", "", std::nullopt},
    {AccessVerb::Get, "pods", "unheard-of", std::nullopt},
};

TEST(Access, IsDeniedUnlessARuleAllowsIt) {
  for (const Case& c : kCases) {
    for (const Role role : {Role::View, Role::Edit, Role::Admin}) {
      const AccessRequest request{c.verb, c.resource, c.subresource, "prod", "x"};
      const Decision decision = decide({"ana", role, "unix"}, request);
      EXPECT_EQ(decision.allowed, c.least && role >= *c.least)
          << to_string(role) << " " << describe(request);
      EXPECT_FALSE(decision.reason.empty());
    }
  }
}

TEST(Access, ADenialSaysWhoCan) {
  const Decision denied =
      decide({"bob", Role::View, "unix"}, {AccessVerb::Update, "deployments", "", "prod", "web"});
  EXPECT_EQ(denied.reason,
            "role \"view\" may not update deployments web in namespace prod; edit and admin can");
}

TEST(Access, OnlyALowerRoleCanBeTaken) {
  EXPECT_EQ(act_as({"ana", Role::Edit, ""}, "view")->role, Role::View);
  EXPECT_EQ(act_as({"ana", Role::Edit, ""}, "edit")->role, Role::Edit);
  EXPECT_EQ(act_as({"ana", Role::Edit, ""}, "admin").error().code, base::Errc::Forbidden);
  EXPECT_EQ(act_as({"ana", Role::Edit, ""}, "root").error().code, base::Errc::InvalidArgument);
}

TEST(TokenTable, FindsOnlyWholeTokens) {
  const std::string a(32, 'a'), b(40, 'b');
  const auto table = TokenTable::parse("# who\n\n" + a + " admin ana\r\n  " + b + "\tview  ci-bot");
  ASSERT_TRUE(table);
  EXPECT_EQ(table->size(), 2u);
  EXPECT_EQ(table->find(a)->user, "ana");
  EXPECT_EQ(table->find(a)->role, Role::Admin);
  EXPECT_EQ(table->find(b)->role, Role::View);
  EXPECT_FALSE(table->find(""));
  EXPECT_FALSE(table->find(a.substr(1)));
  EXPECT_FALSE(table->find(a + "a"));
}

TEST(TokenTable, ABadLineIsNamedButNotShown) {
  const std::string token(32, 's');
  for (const std::string& line : {std::string("short admin x"), token + " admin", token + " root x",
                                  token + " admin x y", token}) {
    const auto table = TokenTable::parse("\n" + line);
    ASSERT_FALSE(table) << line;
    EXPECT_NE(table.error().message.find("line 2"), std::string::npos);
    EXPECT_EQ(table.error().message.find(token), std::string::npos);
  }
}

TEST(TokenTable, ReadsTheBearerScheme) {
  EXPECT_EQ(bearer_token("Bearer abc"), "abc");
  EXPECT_EQ(bearer_token("bearer  abc "), "abc");
  EXPECT_EQ(bearer_token("Basic abc"), "");
  EXPECT_EQ(bearer_token("Bearer"), "");
  EXPECT_EQ(bearer_token(""), "");
}

TEST(PodPrivileges, NamesEveryFieldThatReachesTheNode) {
  const Json spec = Json::parse(R"({
    "hostNetwork": true, "hostUsers": false,
    "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "hostPath": {"path": "/"}}],
    "securityContext": {"seccompProfile": {"type": "Unconfined"}},
    "initContainers": [{"securityContext": {"privileged": true}}],
    "containers": [{"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE", "CAP_CHOWN", "SYS_ADMIN", 5]}}}, {}]})");
  EXPECT_EQ(pod_privileges("Pod", {{"spec", spec}}),
            (std::vector<std::string>{"spec.hostNetwork", "spec.securityContext.seccompProfile",
                                      "spec.volumes[1].hostPath",
                                      "spec.initContainers[0].securityContext.privileged",
                                      "spec.containers[0].securityContext.capabilities.add[2]",
                                      "spec.containers[0].securityContext.capabilities.add[3]"}));
  const Json deployment{{"spec", {{"template", {{"spec", spec}}}}}};
  EXPECT_EQ(pod_privileges("Deployment", deployment).size(), 6u);
  EXPECT_EQ(pod_privileges("Deployment", deployment)[0], "spec.template.spec.hostNetwork");
  EXPECT_TRUE(pod_privileges("Service", {{"spec", spec}}).empty());
}

TEST(PodPrivileges, SurvivesAnyShape) {
  for (const char* text :
       {"null", "[]", "{}", R"({"spec":1})",
        R"({"spec":{"volumes":{},"containers":[1,null,{"securityContext":[]}]}})"}) {
    EXPECT_TRUE(pod_privileges("Pod", Json::parse(text)).empty()) << text;
  }
}

}  // namespace
}  // namespace nexus
