#include "orchestration/endpoints.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orchestration/first_fit_placement.hpp"
#include "orchestration/json_read.hpp"
#include "orchestration/service_addresses.hpp"
#include "orchestration/testing/sequential_addresses.hpp"

namespace nexus::orchestration {
namespace {

EndpointPod pod(
    const char* name, bool ready, const char* labels = R"({"app":"web"})",
    const std::function<void(Json&)>& edit = [](Json&) {}) {
  auto object = std::make_shared<Object>();
  object->json = Json::parse(R"({"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"default"},
    "spec":{"nodeName":"n1","containers":[{"name":"c","image":"i","ports":[{"name":"http","containerPort":8080}]}]}})");
  object->json["metadata"]["name"] = name;
  object->json["metadata"]["uid"] = name;
  object->json["metadata"]["labels"] = Json::parse(labels);
  edit(object->json);
  const std::string last(1, name[std::string(name).size() - 1]);
  return {
      .pod = *read_pod(object), .ready = ready, .addresses = {"fd00::" + last, "10.0.0." + last}};
}

Service service(const std::function<void(Json&)>& edit = [](Json&) {}) {
  Json json = Json::parse(
      R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"web","namespace":"default","uid":"s"},
    "spec":{"type":"ClusterIP","selector":{"app":"web"},"clusterIP":"fd00:ffff::1","clusterIPs":["fd00:ffff::1","10.0.240.1"],
            "ports":[{"name":"http","port":80,"targetPort":"http","protocol":"TCP"}]}})");
  edit(json["spec"]);
  return read_service(json);
}

std::vector<ServicePort> ports(const Service& service, const std::vector<EndpointPod>& pods) {
  return network_ports(service, endpoints_of(service, pods));
}

TEST(Endpoints, ReadyPodsOfBothFamiliesByNamedPort) {
  const auto table = ports(service(), {pod("b2", true), pod("a1", true), pod("c3", false),
                                       pod("d4", true, R"({"app":"x"})")});
  ASSERT_EQ(table.size(), 2u);
  EXPECT_EQ(table[0].service, "default/web:http");
  EXPECT_EQ(table[0].address, "fd00:ffff::1");
  EXPECT_EQ(table[0].port, 80);
  EXPECT_EQ(table[0].backends,
            (std::vector<ServicePort::Backend>{{"fd00::1", 8080}, {"fd00::2", 8080}}));
  EXPECT_EQ(table[1].address, "10.0.240.1");
  EXPECT_EQ(table[1].backends,
            (std::vector<ServicePort::Backend>{{"10.0.0.1", 8080}, {"10.0.0.2", 8080}}));
}

TEST(Endpoints, APodThatIsDeletedIsNoEndpointEvenIfItLooksReady) {
  const auto leaving = pod("a1", true, R"({"app":"web"})", [](Json& json) {
    json["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z";
  });
  EXPECT_TRUE(ports(service(), {leaving})[0].backends.empty());
  const Service open = service([](Json& spec) { spec["publishNotReadyAddresses"] = true; });
  EXPECT_TRUE(ports(open, {leaving})[0].backends.empty());
  EXPECT_EQ(ports(open, {pod("a1", false)})[0].backends.size(), 1u);
}

TEST(Endpoints, NoSelectorSelectsNothing) {
  const Service none = service([](Json& spec) { spec.erase("selector"); });
  EXPECT_TRUE(ports(none, {pod("a1", true)})[0].backends.empty());
  const Service empty = service([](Json& spec) { spec["selector"] = Json::object(); });
  EXPECT_TRUE(ports(empty, {pod("a1", true)})[0].backends.empty());
}

TEST(Endpoints, AffinityAndNodePortsAreHandedOn) {
  const Service sticky = service([](Json& spec) {
    spec["sessionAffinity"] = "ClientIP";
    spec["ports"][0]["nodePort"] = 30080;
  });
  EXPECT_EQ(ports(sticky, {})[0].affinity_seconds, 10800u);
  EXPECT_EQ(ports(sticky, {})[0].node_port, 30080);
}

TEST(Endpoints, HeadlessAndExternalServicesAreDnsOnly) {
  const Service headless = service([](Json& spec) { spec["clusterIP"] = "None"; });
  const std::vector<EndpointPod> pods = {pod("a1", true), pod("b2", false)};
  EXPECT_TRUE(ports(headless, pods).empty());
  const auto name = dns_name(headless, endpoints_of(headless, pods));
  EXPECT_TRUE(name.cluster_addresses.empty());
  ASSERT_EQ(name.endpoints.size(), 1u);
  EXPECT_EQ(name.endpoints[0].hostname, "a1");
  EXPECT_EQ(name.endpoints[0].addresses, (std::vector<std::string>{"fd00::1", "10.0.0.1"}));
  EXPECT_EQ(name.endpoints[0].ports.at(0).port, 8080);
  EXPECT_EQ(name.endpoints[0].ports.at(0).protocol, "tcp");
  const Service external = service([](Json& spec) {
    spec["type"] = "ExternalName";
    spec["externalName"] = "db.example.org";
  });
  EXPECT_EQ(dns_name(external, {}).external_name, "db.example.org");
  EXPECT_TRUE(dns_name(external, {}).cluster_addresses.empty());
}

TEST(Endpoints, HostPortsLeadFromTheNodeToThePod) {
  const auto table = host_ports(
      pod("a1", true, "{}",
          [](Json& json) { json["spec"]["containers"][0]["ports"][0]["hostPort"] = 8081; }),
      {"fd00::99", "10.0.0.99"});
  ASSERT_EQ(table.size(), 2u);
  EXPECT_EQ(table[0].address, "fd00::99");
  EXPECT_EQ(table[0].port, 8081);
  EXPECT_EQ(table[0].backends, (std::vector<ServicePort::Backend>{{"fd00::1", 8080}}));
}

TEST(Endpoints, ObjectsTellReadyFromNotReady) {
  const std::vector<EndpointPod> pods = {pod("a1", true), pod("b2", false)};
  const Json object = endpoints_object(service(), pods);
  EXPECT_EQ(object["subsets"][0]["addresses"].size(), 1u);
  EXPECT_EQ(object["subsets"][0]["notReadyAddresses"][0]["targetRef"]["name"], "b2");
  const auto slices = endpoint_slices(service(), pods);
  ASSERT_EQ(slices.size(), 2u);
  EXPECT_EQ(slices[0]["addressType"], "IPv6");
  EXPECT_EQ(slices[1]["endpoints"][1]["conditions"]["ready"], false);
}

Json plain_service(const char* name, const char* spec) {
  return Json{{"apiVersion", "v1"},
              {"kind", "Service"},
              {"metadata", {{"name", name}, {"namespace", "default"}}},
              {"spec", Json::parse(spec)}};
}

TEST(ServiceAddresses, GivesBothFamiliesAndKeepsThem) {
  SequentialAddresses allocator;
  ServiceAddresses addresses(allocator);
  Json web = plain_service("web", R"({"ports":[{"port":80}],"selector":{"app":"web"}})");
  EXPECT_FALSE(ServiceAddresses::is_complete(web));
  ASSERT_TRUE(addresses.assign(web, nullptr));
  EXPECT_TRUE(ServiceAddresses::is_complete(web));
  EXPECT_EQ(web["spec"]["clusterIP"], "fd00:ffff::1");
  EXPECT_EQ(web["spec"]["clusterIPs"], (Json{"fd00:ffff::1", "10.0.240.1"}));
  EXPECT_EQ(web["spec"]["ipFamilies"], (Json{"IPv6", "IPv4"}));
  Json again = plain_service("web", R"({"ports":[{"port":81}],"selector":{"app":"web"}})");
  ASSERT_TRUE(addresses.assign(again, &web));
  EXPECT_EQ(again["spec"]["clusterIPs"], web["spec"]["clusterIPs"]);
  Json other = plain_service("other", R"({"ports":[{"port":80}]})");
  ASSERT_TRUE(addresses.assign(other, nullptr));
  EXPECT_EQ(other["spec"]["clusterIP"], "fd00:ffff::2");
}

TEST(ServiceAddresses, ATakenAddressNamesItsOwnerAndAFreedOneCanBeTaken) {
  SequentialAddresses allocator;
  ServiceAddresses addresses(allocator);
  Json web = plain_service("web", R"({"clusterIP":"10.0.240.7","ports":[{"port":80}]})");
  ASSERT_TRUE(addresses.assign(web, nullptr));
  EXPECT_EQ(web["spec"]["clusterIPs"], (Json{"10.0.240.7"}));
  Json thief = plain_service("thief", R"({"clusterIP":"fd00:ffff::7","ports":[{"port":80}]})");
  const auto refused = addresses.assign(thief, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("belongs to service default/web"));
  addresses.settle({"Service", "default", "web"}, &web);
  addresses.forget(web);
  EXPECT_TRUE(addresses.assign(thief, nullptr));
  EXPECT_FALSE(addresses.assign(
      *std::make_unique<Json>(plain_service("far", R"({"clusterIP":"192.0.2.1","ports":[]})")),
      nullptr));
}

TEST(ServiceAddresses, WhatIsNotStoredIsFreeAgain) {
  const ObjectRef ref{"Service", "default", "web"};
  SequentialAddresses allocator;
  ServiceAddresses addresses(allocator);
  Json web = plain_service("web", R"({"type":"NodePort","ports":[{"port":80}]})");
  ASSERT_TRUE(addresses.assign(web, nullptr));
  addresses.settle(ref, &web);
  for (const char* address : {"10.0.240.7", "10.0.240.8", "fd00:ffff::9"}) {
    Json again =
        plain_service("web", R"({"type":"NodePort","ports":[{"port":80,"nodePort":31000}]})");
    again["spec"]["clusterIP"] = address;
    ASSERT_TRUE(addresses.assign(again, nullptr));
    addresses.settle(ref, &web);  // AlreadyExists
    EXPECT_EQ(allocator.used(), 1u) << address;
  }
  Json other = plain_service(
      "other",
      R"({"type":"NodePort","clusterIP":"10.0.240.7","ports":[{"port":80,"nodePort":31000}]})");
  EXPECT_TRUE(addresses.assign(other, nullptr));
  EXPECT_EQ(allocator.used(), 2u);
  addresses.settle({"Service", "default", "other"}, nullptr);
  EXPECT_EQ(allocator.used(), 1u);
}

TEST(ServiceAddresses, NothingIsFreedWhileAnotherWriteIsUnderWay) {
  const ObjectRef ref{"Service", "default", "web"};
  SequentialAddresses allocator;
  ServiceAddresses addresses(allocator);
  Json first = plain_service("web", R"({"clusterIP":"10.0.240.7","ports":[{"port":80}]})");
  Json second = plain_service("web", R"({"clusterIP":"10.0.240.8","ports":[{"port":80}]})");
  ASSERT_TRUE(addresses.assign(first, nullptr));
  ASSERT_TRUE(addresses.assign(second, nullptr));
  addresses.settle(ref, nullptr);
  addresses.forget(second);
  EXPECT_EQ(allocator.used(), 2u);
  addresses.settle(ref, &first);
  EXPECT_EQ(allocator.used(), 1u);
  // A write that nobody waits for frees nothing by itself; what is stored does.
  ASSERT_TRUE(addresses.assign(second, nullptr));
  addresses.lose_sight(ref);
  EXPECT_EQ(allocator.used(), 2u);
  addresses.observe(first);
  EXPECT_EQ(allocator.used(), 1u);
}

TEST(ServiceAddresses, WhatIsStoredIsReservedAfterARestart) {
  SequentialAddresses allocator;
  ServiceAddresses addresses(allocator);
  Json old = plain_service(
      "old",
      R"({"type":"NodePort","clusterIP":"fd00:ffff::1","clusterIPs":["fd00:ffff::1","10.0.240.1"],
    "ports":[{"port":80,"nodePort":30000}]})");
  addresses.observe(old);
  Json web = plain_service("web", R"({"type":"NodePort","ports":[{"port":80}]})");
  ASSERT_TRUE(addresses.assign(web, nullptr));
  EXPECT_EQ(web["spec"]["clusterIP"], "fd00:ffff::2");
  EXPECT_EQ(web["spec"]["ports"][0]["nodePort"], 30001);
  Json thief =
      plain_service("thief", R"({"type":"NodePort","ports":[{"port":80,"nodePort":30000}]})");
  EXPECT_FALSE(addresses.assign(thief, nullptr));
  addresses.forget(old);
  EXPECT_TRUE(addresses.assign(thief, nullptr));
}

TEST(ServiceAddresses, HeadlessAndExternalGetNone) {
  SequentialAddresses allocator;
  ServiceAddresses addresses(allocator);
  Json headless = plain_service("h", R"({"clusterIP":"None","ports":[]})");
  ASSERT_TRUE(addresses.assign(headless, nullptr));
  EXPECT_EQ(headless["spec"]["clusterIPs"], Json{"None"});
  Json external =
      plain_service("e", R"({"type":"ExternalName","externalName":"x.org","clusterIP":""})");
  ASSERT_TRUE(addresses.assign(external, nullptr));
  EXPECT_FALSE(external["spec"].contains("clusterIP"));
  EXPECT_EQ(allocator.used(), 0u);
}

class NoAddresses final : public AddressAllocator {
 public:
  base::Result<Pair> allocate() override { return Pair{}; }
  base::Result<Pair> reserve(const std::string&) override { return Pair{}; }
  void release(const std::string&) override {}
};

TEST(ServiceAddresses, InAClusterWithoutAnyServicesAreHeadlessAndNodePortsAreRefused) {
  NoAddresses allocator;
  ServiceAddresses addresses(allocator);
  Json web = plain_service("web", R"({"ports":[{"port":80}]})");
  ASSERT_TRUE(addresses.assign(web, nullptr));
  EXPECT_EQ(web["spec"]["clusterIP"], "None");
  EXPECT_EQ(web["spec"]["clusterIPs"], Json{"None"});
  EXPECT_TRUE(ServiceAddresses::is_complete(web));
  Json outside = plain_service("outside", R"({"type":"NodePort","ports":[{"port":80}]})");
  const auto refused = addresses.assign(outside, nullptr);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Errc::Unsupported);
  EXPECT_THAT(refused.error().message, testing::HasSubstr("NodePort"));
}

NodeCapacity node(const char* name) {
  return {.name = name,
          .ready = true,
          .labels = {{"zone", "a"}},
          .cpu_millis = 2000,
          .memory_bytes = 1ull << 30};
}

TEST(FirstFit, TakesTheFirstNodeThatFitsAndSaysWhatExcludedTheRest) {
  FirstFitPlacement placement;
  NodeCapacity cordoned = node("n1"), full = node("n2"), good = node("n3"), crowded = node("n4"),
               down = node("n5");
  cordoned.schedulable = false;
  full.memory_bytes_used = 1000ull << 20;
  crowded.pods = crowded.pods_max;
  down.ready = false;
  const PlacementRequest request{.workload = "default/web",
                                 .cpu_millis = 100,
                                 .memory_bytes = 64 << 20,
                                 .node_selector = {{"zone", "a"}}};
  EXPECT_EQ(placement.place(request, {cordoned, full, good}), "n3");
  NodeCapacity elsewhere = node("n6");
  elsewhere.labels["zone"] = "b";
  const auto refused = placement.place(request, {cordoned, full, crowded, down, elsewhere});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Errc::CannotPlace);
  EXPECT_EQ(refused.error().message, "default/web cannot be placed: 0 of 5 nodes fit");
  EXPECT_THAT(refused.error().hints,
              testing::ElementsAre("n1 is cordoned",
                                   "n2 memory: needs 64.0 MiB, 24.0 MiB of 1024.0 MiB free",
                                   "n4 has 110 pods; 110 is the limit", "n5 is not ready",
                                   "n6 has zone=b; a is wanted"));
}

}  // namespace
}  // namespace nexus::orchestration
