#include "orchestration/pod_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "orchestration/testing/map_view.hpp"

namespace nexus::orchestration {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class PodConfigTest : public testing::Test {
 protected:
  PodConfigTest() {
    view_.put(Json::parse(
        R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"conf","namespace":"default"},
      "data":{"COLOR":"blue","file.txt":"hello"},"binaryData":{"blob":"AAE="}})"));
    view_.put(Json::parse(
        R"({"apiVersion":"v1","kind":"Secret","metadata":{"name":"key","namespace":"default"},
      "data":{"TOKEN":"c2VjcmV0"}})"));
  }
  PodConfigInput input(const char* spec) {
    auto object = std::make_shared<Object>();
    object->json = Json::parse(
        R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"web-1","namespace":"default","uid":"u1",
      "labels":{"app":"web"},"annotations":{"note":"x \"y\""}}})");
    object->json["spec"] = Json::parse(spec);
    pod_ = *read_pod(object);
    return {.pod = *pod_,
            .view = view_,
            .zone = "mesh",
            .node_name = "n1",
            .node_addresses = {"fd00::1", "10.1.0.1"},
            .addresses = {"fd00::2", "10.1.0.2"}};
  }
  base::Result<ContainerSpec> container(const char* json) {
    const std::string spec = std::string(R"({"containers":[)") + json + "]}";
    const PodConfigInput in = input(spec.c_str());
    return resolve_container(in, in.pod.containers[0], 2, "img@sha256:1");
  }
  MapView view_;
  std::shared_ptr<const Pod> pod_;
};

TEST_F(PodConfigTest, EnvironmentInOrderWithReferencesAndExpansion) {
  const auto spec = container(R"j({"name":"c","image":"i",
    "envFrom":[{"configMapRef":{"name":"conf"},"prefix":"P_"},{"secretRef":{"name":"none","optional":true}}],
    "env":[{"name":"A","value":"1"},{"name":"B","value":"$(A)-$(P_COLOR)-$(NONE)-$$(A)"},
           {"name":"T","valueFrom":{"secretKeyRef":{"name":"key","key":"TOKEN"}}},
           {"name":"N","valueFrom":{"fieldRef":{"fieldPath":"metadata.labels['app']"}}},
           {"name":"IP","valueFrom":{"fieldRef":{"fieldPath":"status.podIP"}}},
           {"name":"IPS","valueFrom":{"fieldRef":{"fieldPath":"status.podIPs"}}},
           {"name":"M","valueFrom":{"resourceFieldRef":{"resource":"limits.memory","divisor":"1Mi"}}},
           {"name":"CPU","valueFrom":{"resourceFieldRef":{"resource":"limits.cpu"}}},
           {"name":"O","valueFrom":{"configMapKeyRef":{"name":"conf","key":"absent","optional":true}}},
           {"name":"A","value":"2"}],
    "command":["sh","-c","echo $(T)"],"args":["$(N)"],"resources":{
  "limits" : {"memory" : "64Mi", "cpu" : "1500m"}
}
})j");
  ASSERT_TRUE(spec) << spec.error().describe();
  EXPECT_THAT(spec->env, testing::Contains(Pair("P_COLOR", "blue")));
  EXPECT_THAT(spec->env, testing::Contains(Pair("P_file.txt", "hello")));
  EXPECT_THAT(spec->env, testing::Contains(Pair("A", "2")));
  EXPECT_THAT(spec->env, testing::Contains(Pair("B", "1-blue-$(NONE)-$(A)")));
  EXPECT_THAT(spec->env, testing::Contains(Pair("IP", "fd00::2")));
  EXPECT_THAT(spec->env, testing::Contains(Pair("IPS", "fd00::2,10.1.0.2")));
  EXPECT_THAT(spec->env, testing::Contains(Pair("M", "64")));
  EXPECT_THAT(spec->env, testing::Contains(Pair("CPU", "2")));
  EXPECT_THAT(spec->env, testing::Not(testing::Contains(Pair("O", testing::_))));
  EXPECT_THAT(spec->command, ElementsAre("sh", "-c", "echo secret"));
  EXPECT_THAT(spec->args, ElementsAre("web"));
  EXPECT_EQ(spec->attempt, 2u);
  EXPECT_EQ(spec->resources.memory_bytes_max, 64u << 20);
  EXPECT_EQ(spec->resources.cpu_millis_request, 1500u);
}

TEST_F(PodConfigTest, WhatIsMissingIsNamed) {
  auto spec = container(
      R"({"name":"c","env":[{"name":"T","valueFrom":{"secretKeyRef":{"name":"key","key":"NO"}}}]})");
  EXPECT_EQ(spec.error().message, "Secret default/key has no key \"NO\"");
  spec = container(R"({"name":"c","envFrom":[{"configMapRef":{"name":"gone"}}]})");
  EXPECT_EQ(spec.error().code, base::Errc::NotFound);
  EXPECT_EQ(spec.error().message, "ConfigMap \"gone\" does not exist in namespace default");
  spec = container(
      R"({"name":"c","env":[{"name":"T","valueFrom":{"fieldRef":{"fieldPath":"spec.secret"}}}]})");
  EXPECT_EQ(spec.error().code, base::Errc::Unsupported);
}

TEST_F(PodConfigTest, VolumesOfEveryKind) {
  const PodConfigInput in =
      input(R"({"containers":[{"name":"c","resources":{"limits":{"cpu":"250m"}}}],"volumes":[
    {"name":"e","emptyDir":{"medium":"Memory","sizeLimit":"1Mi"}},
    {"name":"h","hostPath":{"path":"/srv","type":"DirectoryOrCreate"}},
    {"name":"cm","configMap":{"name":"conf","defaultMode":256,"items":[{"key":"file.txt","path":"d/f","mode":384},{"key":"blob","path":"b"}]}},
    {"name":"s","secret":{"secretName":"key"}},
    {"name":"d","downwardAPI":{"items":[{"path":"labels","fieldRef":{"fieldPath":"metadata.labels"}},
      {"path":"cpu","resourceFieldRef":{"containerName":"c","resource":"limits.cpu","divisor":"1m"}}]}},
    {"name":"p","projected":{"sources":[{"configMap":{"name":"conf","items":[{"key":"COLOR","path":"color"}]}},{"secret":{"name":"key"}}]}},
    {"name":"v","persistentVolumeClaim":{"claimName":"data"}}]})");
  const auto volumes = resolve_volumes(in);
  ASSERT_TRUE(volumes) << volumes.error().describe();
  ASSERT_EQ(volumes->size(), 7u);
  EXPECT_EQ(std::get<EmptyDirVolume>((*volumes)[0].source).bytes_max, 1u << 20);
  EXPECT_TRUE(std::get<EmptyDirVolume>((*volumes)[0].source).in_memory);
  EXPECT_EQ(std::get<HostPathVolume>((*volumes)[1].source).type,
            HostPathVolume::Type::DirectoryOrCreate);
  const auto& files = std::get<FilesVolume>((*volumes)[2].source).files;
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path, "d/f");
  EXPECT_EQ(files[0].content, "hello");
  EXPECT_EQ(files[0].mode, 0600u);
  EXPECT_EQ(files[1].content, std::string("\0\1", 2));
  EXPECT_EQ(files[1].mode, 0400u);
  EXPECT_TRUE(std::get<FilesVolume>((*volumes)[3].source).secret);
  EXPECT_EQ(std::get<FilesVolume>((*volumes)[3].source).files[0].content, "secret");
  EXPECT_EQ(std::get<FilesVolume>((*volumes)[4].source).files[0].content, "app=\"web\"");
  EXPECT_EQ(std::get<FilesVolume>((*volumes)[4].source).files[1].content, "250");
  EXPECT_EQ(std::get<FilesVolume>((*volumes)[5].source).files.size(), 2u);
  EXPECT_TRUE(std::get<FilesVolume>((*volumes)[5].source).secret);
  EXPECT_EQ(std::get<NamedVolume>((*volumes)[6].source).name, "default/data");
}

TEST_F(PodConfigTest, NamesSecurityAndHostsOfAPod) {
  const PodConfigInput in = input(R"({"hostAliases":[{"ip":"10.0.0.9","hostnames":["a","b"]}],
    "dnsConfig":{"options":[{"name":"ndots","value":"5"},{"name":"rotate"}],"searches":["x.org"]},
    "securityContext":{"runAsUser":1000,"fsGroup":2000,"runAsNonRoot":true,"sysctls":[{"name":"net.core.somaxconn","value":"1024"}]},
    "containers":[{"name":"c","securityContext":{"runAsUser":1,"readOnlyRootFilesystem":true,"capabilities":{"add":["NET_RAW"],"drop":["ALL"]}}},
                  {"name":"d","securityContext":{"allowPrivilegeEscalation":true}}]})");
  const auto pod = resolve_pod(in);
  ASSERT_TRUE(pod);
  EXPECT_EQ(pod->hostname, "web-1");
  EXPECT_THAT(pod->dns_searches, ElementsAre("default.mesh", "mesh", "x.org"));
  EXPECT_THAT(pod->dns_options, ElementsAre("ndots:5", "rotate"));
  EXPECT_THAT(pod->host_aliases, ElementsAre(Pair("10.0.0.9", "a"), Pair("10.0.0.9", "b")));
  EXPECT_EQ(pod->fs_group, 2000u);
  EXPECT_EQ(pod->sysctls.at("net.core.somaxconn"), "1024");
  EXPECT_FALSE(pod->host_users);
  const auto c = resolve_container(in, in.pod.containers[0], 0, "i");
  EXPECT_EQ(c->security.user, 1u);
  EXPECT_TRUE(c->security.run_as_non_root);
  EXPECT_TRUE(c->security.read_only_root);
  EXPECT_TRUE(c->security.no_new_privileges);
  EXPECT_THAT(c->security.capabilities_drop, ElementsAre("ALL"));
  EXPECT_THAT(c->security.supplemental_groups, ElementsAre(2000u));
  const auto d = resolve_container(in, in.pod.containers[1], 0, "i");
  EXPECT_EQ(d->security.user, 1000u);
  EXPECT_FALSE(d->security.no_new_privileges);
}

TEST_F(PodConfigTest, CredentialsAreFoundByTheRegistryOfTheImage) {
  // {"auths":{"reg.example:5000":{"auth":"dTpw"},"https://index.docker.io/v1/":{"username":"hub","password":"x"}}}
  const std::string config =
      R"({"auths":{"reg.example:5000":{"auth":"dTpw"},"https://index.docker.io/v1/":{"username":"hub","password":"x"}}})";
  view_.put(Json{{"apiVersion", "v1"},
                 {"kind", "Secret"},
                 {"metadata", {{"name", "pull"}, {"namespace", "default"}}},
                 {"data", {{".dockerconfigjson", base::to_base64(base::as_bytes(config))}}}});
  const PodConfigInput in = input(
      R"({"imagePullSecrets":[{"name":"gone"},{"name":"pull"}],"containers":[{"name":"c"}]})");
  ASSERT_TRUE(registry_credentials(in, "reg.example:5000/a/b:1"));
  EXPECT_EQ(registry_credentials(in, "reg.example:5000/a/b:1")->user, "u");
  EXPECT_EQ(registry_credentials(in, "nginx:1")->user, "hub");
  EXPECT_FALSE(registry_credentials(in, "other.example/a:1"));
}

TEST_F(PodConfigTest, KnowsWhichObjectsItReads) {
  const PodConfigInput in = input(
      R"({"imagePullSecrets":[{"name":"pull"}],"volumes":[{"name":"p","projected":{"sources":[{"configMap":{"name":"a"}}]}},
    {"name":"s","secret":{"secretName":"b"}}],"containers":[{"name":"c","env":[{"name":"X","valueFrom":{"configMapKeyRef":{"name":"d","key":"k"}}}]}]})");
  for (const char* name : {"a", "d"})
    EXPECT_TRUE(uses_config(in.pod, {"ConfigMap", "default", name})) << name;
  for (const char* name : {"b", "pull"})
    EXPECT_TRUE(uses_config(in.pod, {"Secret", "default", name})) << name;
  EXPECT_FALSE(uses_config(in.pod, {"Secret", "default", "a"}));
  EXPECT_FALSE(uses_config(in.pod, {"ConfigMap", "other", "a"}));
}

}  // namespace
}  // namespace nexus::orchestration
