#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "manifest/formats.hpp"
#include "manifest/int_or_string.hpp"
#include "manifest/kinds.hpp"
#include "manifest/label_selector.hpp"

namespace nexus::manifest {
namespace {

using nlohmann::json;

TEST(Kinds, AreFoundByEveryName) {
  const std::pair<const char*, const char*> cases[] = {{"po", "Pod"},
                                                       {"pods", "Pod"},
                                                       {"pod", "Pod"},
                                                       {"Pod", "Pod"},
                                                       {"svc", "Service"},
                                                       {"services", "Service"},
                                                       {"deploy", "Deployment"},
                                                       {"Deployment", "Deployment"},
                                                       {"deployments.apps", "Deployment"},
                                                       {"deployments.v1.apps", "Deployment"},
                                                       {"deployment.apps", "Deployment"},
                                                       {"pods.v1", "Pod"},
                                                       {"cm", "ConfigMap"},
                                                       {"ns", "Namespace"},
                                                       {"no", "Node"},
                                                       {"rs", "ReplicaSet"},
                                                       {"jobs", "Job"},
                                                       {"secrets", "Secret"},
                                                       {"ev", "Event"},
                                                       {"ep", "Endpoints"},
                                                       {"endpointslices", "EndpointSlice"}};
  for (const auto& [name, kind] : cases) {
    ASSERT_NE(find_kind(name), nullptr) << name;
    EXPECT_EQ(find_kind(name)->kind, kind) << name;
  }
  EXPECT_EQ(find_kind("deployments.batch"), nullptr);
  EXPECT_EQ(find_kind(""), nullptr);
  EXPECT_EQ(find_resource("apps", "v1", "deployments")->kind, "Deployment");
  EXPECT_EQ(find_resource("", "v1", "deployments"), nullptr);
}

TEST(Kinds, UnservedOnesSayWhatToUse) {
  const auto sts = resolve_kind("sts");
  ASSERT_FALSE(sts);
  EXPECT_EQ(sts.error().code, base::Errc::Unsupported);
  EXPECT_EQ(sts.error().message, "kind StatefulSet is not served by this version");
  EXPECT_FALSE(sts.error().hints.empty());
  const auto typo = resolve_kind("deplyoment");
  ASSERT_FALSE(typo);
  EXPECT_EQ(typo.error().code, base::Errc::InvalidArgument);
  EXPECT_EQ(typo.error().hints.at(0), "did you mean deployment?");
}

TEST(Kinds, OldVersionsAreConverted) {
  const auto old = resolve_object_kind("extensions/v1beta1", "Deployment");
  ASSERT_TRUE(old);
  EXPECT_EQ(old->info->api_version(), "apps/v1");
  EXPECT_EQ(old->converted_from, "extensions/v1beta1");
  EXPECT_EQ(resolve_object_kind("apps/v1", "Deployment")->converted_from, "");
  EXPECT_EQ(resolve_object_kind("v1", "Deployment").error().hints.at(0), "use apiVersion: apps/v1");
  EXPECT_EQ(resolve_object_kind("v1", "Deploymnet").error().hints.at(0),
            "did you mean Deployment?");
  EXPECT_EQ(resolve_object_kind("networking.istio.io/v1", "VirtualService").error().code,
            base::Errc::Unsupported);
}

TEST(IntOrString, ScalesAsKubernetesDoes) {
  using Rounding = IntOrString::Rounding;
  EXPECT_EQ(IntOrString("25%").scaled(10, Rounding::Up), 3);
  EXPECT_EQ(IntOrString("25%").scaled(10, Rounding::Down), 2);
  EXPECT_EQ(IntOrString("100%").scaled(7, Rounding::Down), 7);
  EXPECT_EQ(IntOrString(3).scaled(7, Rounding::Down), 3);
  for (const char* bad : {"", "%", "25", "-5%", "2.5%", "25%%", "99999999999%"}) {
    EXPECT_FALSE(IntOrString(bad).scaled(10, Rounding::Up)) << bad;
  }
  EXPECT_EQ(IntOrString::from_json(json("http"))->text(), "http");
  EXPECT_EQ(IntOrString::from_json(json(80))->number(), 80);
  EXPECT_FALSE(IntOrString::from_json(json(1.5)));
  EXPECT_FALSE(IntOrString::from_json(json(1ll << 40)));
}

TEST(LabelSelector, ReadsTheCommandLinesForm) {
  const Labels web = {{"app", "web"}, {"tier", "front"}};
  const std::pair<const char*, bool> cases[] = {{"", true},
                                                {"app=web", true},
                                                {"app==web", true},
                                                {"app = web", true},
                                                {"app=db", false},
                                                {"app!=db", true},
                                                {"zone!=a", true},
                                                {"app in (web, db)", true},
                                                {"app notin (web)", false},
                                                {"zone notin (a)", true},
                                                {"app", true},
                                                {"zone", false},
                                                {"!zone", true},
                                                {"!app", false},
                                                {"app=web,tier=front", true},
                                                {"app=web,tier=back", false},
                                                {" app in (db,web) , !old", true},
                                                {"app=", false}};
  for (const auto& [text, matches] : cases) {
    const auto selector = LabelSelector::parse(text);
    ASSERT_TRUE(selector) << text << ": " << selector.error().describe();
    EXPECT_EQ(selector->matches(web), matches) << text;
    EXPECT_EQ(LabelSelector::parse(selector->text()), *selector) << text;
  }
  for (const char* bad : {"=web", "app=web,", ",", "app in web", "app in (a", "a b", "app=we b",
                          "app=a/b", "a=b c=d", "!", "app>1"}) {
    EXPECT_FALSE(LabelSelector::parse(bad)) << bad;
  }
}

TEST(LabelSelector, ReadsTheObjectsForm) {
  const auto selector = LabelSelector::from_object(json::parse(
      R"({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["b", "a"]},
          {"key": "old", "operator": "DoesNotExist"}]})"));
  ASSERT_TRUE(selector);
  EXPECT_EQ(selector->text(), "app=web,tier notin (a,b),!old");
  EXPECT_TRUE(LabelSelector::from_object(json::object())->matches_everything());
  EXPECT_TRUE(LabelSelector::from_object(json())->matches_nothing());
  EXPECT_FALSE(LabelSelector::from_object(
      json::parse(R"({"matchExpressions": [{"key": "a", "operator": "In"}]})")));
  EXPECT_FALSE(LabelSelector::from_object(
      json::parse(R"({"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]})")));
}

TEST(Formats, NamesAsKubernetesAllowsThem) {
  EXPECT_FALSE(check_dns_label("web-1"));
  EXPECT_FALSE(check_dns_label("1web"));
  EXPECT_TRUE(check_dns_label("Web"));
  EXPECT_TRUE(check_dns_label("-web"));
  EXPECT_TRUE(check_dns_label(""));
  EXPECT_TRUE(check_dns_label(std::string(64, 'a')));
  EXPECT_TRUE(check_dns_1035_label("1web"));
  EXPECT_FALSE(check_dns_subdomain("a.b-c.d"));
  EXPECT_TRUE(check_dns_subdomain("a..b"));
  EXPECT_FALSE(check_label_key("app.kubernetes.io/name"));
  EXPECT_TRUE(check_label_key("/name"));
  EXPECT_TRUE(check_label_key("a/b/c"));
  EXPECT_FALSE(check_label_value(""));
  EXPECT_TRUE(check_label_value("a b"));
  EXPECT_FALSE(check_port_name("http-2"));
  EXPECT_TRUE(check_port_name("8080"));
  EXPECT_TRUE(check_port_name("a-very-long-port-name"));
  EXPECT_FALSE(check_config_key("app.conf"));
  EXPECT_TRUE(check_config_key("../x"));
  EXPECT_TRUE(check_config_key("a/b"));
  EXPECT_FALSE(check_relative_path("a/..b/c"));
  EXPECT_TRUE(check_relative_path("a/../b"));
  EXPECT_FALSE(check_base64("aGk="));
  EXPECT_FALSE(check_base64("aGVs\nbG8="));
  EXPECT_TRUE(check_base64("aGk"));
  EXPECT_TRUE(check_base64("a?k="));
  EXPECT_FALSE(check_timestamp("2026-03-01T12:00:00.25+01:00"));
  EXPECT_TRUE(check_timestamp("2026-03-01"));
}

}  // namespace
}  // namespace nexus::manifest
