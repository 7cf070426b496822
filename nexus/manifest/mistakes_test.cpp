// Every kind of mistake in a manifest, and what is said about it. Each case is a whole file;
// `wanted` is all that is said.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "manifest/manifest_file.hpp"

namespace nexus::manifest {
namespace {

using testing::HasSubstr;

struct Case {
  const char* name;
  std::string text;
  std::string wanted;
};

std::string pod(std::string_view spec) {
  return fmt::format("apiVersion: v1\nkind: Pod\nmetadata: {{name: p}}\nspec:\n{}", spec);
}
std::string container(std::string_view fields) {
  return pod(fmt::format("  containers:\n  - name: c\n    image: i:1\n{}", fields));
}
std::string service(std::string_view spec) {
  return fmt::format(
      "apiVersion: v1\nkind: Service\nmetadata: {{name: s}}\nspec:\n  selector: {{a: b}}\n{}",
      spec);
}
std::string deployment(std::string_view spec) {
  return fmt::format(
      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\nspec:\n"
      "  selector: {{matchLabels: {{a: b}}}}\n"
      "  template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: "
      "i:1}}]}}}}\n{}",
      spec);
}

std::string problems(const std::string& text) {
  return describe(parse_file(text, "f.yaml").problems);
}

class Mistakes : public testing::TestWithParam<Case> {};
TEST_P(Mistakes, AreNamed) {
  EXPECT_EQ(problems(GetParam().text), GetParam().wanted);
}

INSTANTIATE_TEST_SUITE_P(
    OfTheObject, Mistakes,
    testing::ValuesIn(std::vector<Case>{
        {"NotAnObject", "- a\n- b\n",
         "f.yaml:1: is a list; must be an object with apiVersion and kind"},
        {"NoKind", "apiVersion: v1\nmetadata: {name: x}\n", "f.yaml:1: kind is required"},
        {"NoVersion", "kind: Pod\n", "f.yaml:1: apiVersion is required"},
        {"KindTypo", "apiVersion: apps/v1\nkind: Deploymnet\n",
         "f.yaml:2: kind Deploymnet does not exist\n  hint: did you mean Deployment?"},
        {"WrongGroup", "apiVersion: v1\nkind: Deployment\n",
         "f.yaml:2: kind Deployment has no version \"v1\"\n  hint: use apiVersion: apps/v1"},
        {"NotServed", "apiVersion: apps/v1\nkind: StatefulSet\n",
         "f.yaml:2: kind StatefulSet is not served by this version\n  hint: run it as a Deployment "
         "with one replica and "
         "a volume with persistentVolumeClaim"},
        {"Compose", "services:\n  web:\n    image: x\n",
         "f.yaml:1: is a Compose file, which this version does not read\n  hint: write it as "
         "Kubernetes objects: a "
         "Deployment and a Service for each service"},
        {"NoName", "apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n",
         "f.yaml:3: metadata.name is required"},
        {"BadName", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: My_Map}\n",
         "f.yaml:3: metadata.name is \"My_Map\"; must be lower case letters, digits, \"-\" and "
         "\".\", beginning and "
         "ending with a letter or digit"},
        {"ServiceNameBeginsWithADigit",
         "apiVersion: v1\nkind: Service\nmetadata: {name: 1web}\nspec: {selector: {a: b}, ports: "
         "[{port: 1}]}\n",
         "f.yaml:3: metadata.name is \"1web\"; must be lower case letters, digits and \"-\", "
         "beginning with a letter and "
         "not ending with \"-\""},
        {"NamespaceOfANamespace",
         "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, namespace: b}\n",
         "f.yaml:3: metadata.namespace must be absent: a Namespace belongs to no namespace"},
        {"BadLabel",
         "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels:\n    -x: ok\n    z: not "
         "ok\n",
         "f.yaml:6: metadata.labels.-x has a bad key: it must have a name of 1 to 63 letters, "
         "digits, \"-\", \"_\" and "
         "\".\", beginning and ending with a letter or digit, after at most one prefix and \"/\"\n"
         "f.yaml:7: metadata.labels.z is \"not ok\"; must be empty or up to 63 letters, digits, "
         "\"-\", \"_\" and \".\", "
         "beginning and ending with a letter or digit"},
        {"LabelIsANumber",
         "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {version: 1.10}\n",
         "f.yaml:5: metadata.labels.version is the number 1.1; must be a string\n  hint: write it "
         "in quotes: \"1.10\""},
        {"NorwegianAnnotation",
         "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {country: no}\n",
         "f.yaml:5: metadata.annotations.country is the boolean false; must be a string\n  hint: "
         "write it in quotes: "
         "\"no\""},
        {"UnknownField", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndatas: {a: b}\n",
         "f.yaml:4: datas is not a field of ConfigMap\n  hint: did you mean data?"},
        {"FieldInTheWrongPlace", deployment("  hostname: 5\n"),
         "f.yaml:7: spec.hostname is not a field of DeploymentSpec\n  hint: is it meant as "
         "spec.template.spec.hostname? "
         "Check the indentation"},
        {"DuplicateKey",
         "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: {a: b}\n  name: "
         "c\ndata: {k: v, k: w}\n",
         "f.yaml:6: metadata.name appears twice; first in line 4\n"
         "f.yaml:7: data.k appears twice; first in line 7"},
        {"CyclicAnchor", "apiVersion: v1\nkind: ConfigMap\nmetadata: &m\n  name: a\n  labels: *m\n",
         "f.yaml:5: alias *m stands inside of what it names: a cycle"},
        {"TwiceInOneFile",
         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: "
         "ConfigMap\nmetadata: {name: a}\n",
         "f.yaml:5: configmap/a appears twice; first in f.yaml:1"},
    }),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    OfAPod, Mistakes,
    testing::ValuesIn(std::vector<Case>{
        {"NoContainers", pod("  containers: []\n"),
         "f.yaml:5: spec.containers must have at least 1 element"},
        {"ContainersIsAnObject", pod("  containers: {name: c}\n"),
         "f.yaml:5: spec.containers is an object; must be a list\n  hint: begin each element with "
         "\"- \""},
        {"NoImage", pod("  containers: [{name: c}]\n"),
         "f.yaml:5: spec.containers[0].image is required"},
        {"TwoContainersOfOneName",
         pod("  containers:\n  - {name: c, image: i}\n  - {name: c, image: i}\n  initContainers:\n "
             " - {name: c, image: i}\n"),
         "f.yaml:7: spec.containers[1].name is used twice: c\nf.yaml:9: "
         "spec.initContainers[0].name is used twice: c"},
        {"UnsupportedVolume",
         pod("  containers: [{name: c, image: i}]\n  volumes: [{name: v, flexVolume: {driver: "
             "d}}]\n"),
         "f.yaml:6: spec.volumes[0].flexVolume is not supported\n  hint: use persistentVolumeClaim "
         "(a named volume of the "
         "node), or hostPath when the role allows it (hm help volumes)"},
        {"TwoVolumeSources",
         pod("  containers: [{name: c, image: i}]\n  volumes: [{name: v, emptyDir: {}, hostPath: "
             "{path: /a}}]\n"),
         "f.yaml:6: spec.volumes[0].hostPath must not stand beside emptyDir: only one of them "
         "counts"},
        {"MountOfNothing", container("    volumeMounts: [{name: data, mountPath: /data}]\n"),
         "f.yaml:8: spec.containers[0].volumeMounts[0].name is \"data\", which is no volume of the "
         "pod"},
        {"MountTwice",
         container("    volumeMounts: [{name: v, mountPath: /a}, {name: v, mountPath: /a}]\n  "
                   "volumes: [{name: v}]\n"),
         "f.yaml:8: spec.containers[0].volumeMounts[1].mountPath is used twice: /a"},
        {"MountPathRelative",
         container("    volumeMounts: [{name: v, mountPath: a, subPath: ../x}]\n  volumes: [{name: "
                   "v}]\n"),
         "f.yaml:8: spec.containers[0].volumeMounts[0].mountPath is \"a\"; must be a path that "
         "begins with \"/\"\n"
         "f.yaml:8: spec.containers[0].volumeMounts[0].subPath is \"../x\"; must not contain "
         "\"..\""},
        {"PortOutOfRange", container("    ports: [{containerPort: 70000}]\n"),
         "f.yaml:8: spec.containers[0].ports[0].containerPort is 70000; must be 1 to 65535"},
        {"PortIsText", container("    ports: [{containerPort: \"80\"}]\n"),
         "f.yaml:8: spec.containers[0].ports[0].containerPort is \"80\"; must be a whole number\n  "
         "hint: write it without "
         "quotes"},
        {"PortNameTwice",
         container("    ports: [{name: a, containerPort: 1}, {name: a, containerPort: 2}]\n"),
         "f.yaml:8: spec.containers[0].ports[1].name is used twice: a"},
        {"BadProtocol", container("    ports: [{containerPort: 1, protocol: tcp}]\n"),
         "f.yaml:8: spec.containers[0].ports[0].protocol is \"tcp\"; must be one of TCP, UDP, "
         "SCTP"},
        {"HostPortTwice",
         container(
             "    ports: [{containerPort: 1, hostPort: 5}, {containerPort: 2, hostPort: 5}]\n"),
         "f.yaml:8: spec.containers[0].ports[1].hostPort is used twice: 5"},
        {"HostPortOfTheHostsNetwork",
         container("    ports: [{containerPort: 1, hostPort: 5}]\n  hostNetwork: true\n"),
         "f.yaml:8: spec.containers[0].ports[0].hostPort must be equal to containerPort with "
         "hostNetwork"},
        {"EnvIsAMap", container("    env: {A: b}\n"),
         "f.yaml:8: spec.containers[0].env is an object; must be a list\n  hint: begin each "
         "element with \"- \""},
        {"EnvValueIsANumber", container("    env:\n    - name: A\n      value: 0644\n"),
         "f.yaml:10: spec.containers[0].env[0].value is the number 420; must be a string\n  hint: "
         "write it in quotes: "
         "\"0644\""},
        {"EnvTwoSources",
         container("    env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}, "
                   "secretKeyRef: {name: a, key: b}}}]\n"),
         "f.yaml:8: spec.containers[0].env[0].valueFrom.secretKeyRef must not stand beside "
         "fieldRef: only one of them counts"},
        {"EnvNoSource", container("    env: [{name: A, valueFrom: {}}]\n"),
         "f.yaml:8: spec.containers[0].env[0].valueFrom needs a source: one of fieldRef, "
         "resourceFieldRef, "
         "configMapKeyRef, secretKeyRef, fileKeyRef"},
        {"EnvBadField",
         container("    env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.replicas}}}]\n"),
         "f.yaml:8: spec.containers[0].env[0].valueFrom.fieldRef.fieldPath is \"spec.replicas\"; "
         "must be "
         "metadata.labels['KEY'], metadata.annotations['KEY'] or one of metadata.name, "
         "metadata.namespace, metadata.uid, "
         "spec.nodeName, spec.serviceAccountName, status.hostIP, status.hostIPs, status.podIP, "
         "status.podIPs"},
        {"BadQuantity", container("    resources: {limits: {memory: 1gb, cpu: -1}}\n"),
         "f.yaml:8: spec.containers[0].resources.limits.memory is \"1gb\"; must be a quantity such "
         "as 100m or 64Mi\n  hint: "
         "write G (10^9) or Gi (2^30)\n"
         "f.yaml:8: spec.containers[0].resources.limits.cpu is -1; must not be negative"},
        {"RequestAboveLimit",
         container("    resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}\n"),
         "f.yaml:8: spec.containers[0].resources.requests.memory is 2Gi; must not be above the "
         "limit 1Gi"},
        {"ExtendedResource", container("    resources: {limits: {nvidia.com/gpu: 1}}\n"),
         "f.yaml:8: spec.containers[0].resources.limits[nvidia.com/gpu] is not supported: no node "
         "offers it\n  hint: use "
         "cpu and memory"},
        {"ProbeTwoWays",
         container("    readinessProbe: {httpGet: {port: 1}, tcpSocket: {port: 1}}\n"),
         "f.yaml:8: spec.containers[0].readinessProbe.tcpSocket must not stand beside httpGet: "
         "only one of them counts"},
        {"ProbeNoWay", container("    readinessProbe: {periodSeconds: 1}\n"),
         "f.yaml:8: spec.containers[0].readinessProbe needs a way to ask: one of exec, httpGet, "
         "tcpSocket, grpc"},
        {"ProbePeriodZero",
         container("    readinessProbe: {exec: {command: [x]}, periodSeconds: 0}\n"),
         "f.yaml:8: spec.containers[0].readinessProbe.periodSeconds is 0; must be at least 1"},
        {"LivenessSuccessThreshold",
         container("    livenessProbe: {exec: {command: [x]}, successThreshold: 2}\n"),
         "f.yaml:8: spec.containers[0].livenessProbe.successThreshold is 2; must be 1 here"},
        {"ProbeCommandEmpty", container("    livenessProbe: {exec: {}}\n"),
         "f.yaml:8: spec.containers[0].livenessProbe.exec.command is required"},
        {"ProbeOfAnInitContainer",
         pod("  containers: [{name: c, image: i}]\n  initContainers: [{name: d, image: i, "
             "readinessProbe: {tcpSocket: {port: 1}}}]\n"),
         "f.yaml:6: spec.initContainers[0].readinessProbe must not be set for an init container"},
        {"Sidecar",
         pod("  containers: [{name: c, image: i}]\n  initContainers: [{name: d, image: i, "
             "restartPolicy: Always}]\n"),
         "f.yaml:6: spec.initContainers[0].restartPolicy is not supported\n  hint: put the "
         "container into spec.containers"},
        {"BadCapability",
         container(
             "    securityContext: {capabilities: {add: [CAP_NET_ADMIN, NET_BIND_SERVCE]}}\n"),
         "f.yaml:8: spec.containers[0].securityContext.capabilities.add[0] is \"CAP_NET_ADMIN\"; "
         "must be a capability "
         "without CAP_\n  hint: did you mean NET_ADMIN?\n"
         "f.yaml:8: spec.containers[0].securityContext.capabilities.add[1] is \"NET_BIND_SERVCE\"; "
         "must be a capability "
         "without CAP_\n  hint: did you mean NET_BIND_SERVICE?"},
        {"PrivilegedWithoutEscalation",
         container("    securityContext: {privileged: true, allowPrivilegeEscalation: false}\n"),
         "f.yaml:8: spec.containers[0].securityContext.allowPrivilegeEscalation must not be false "
         "with privileged: true"},
        {"TextForABoolean", container("    securityContext: {privileged: \"true\"}\n"),
         "f.yaml:8: spec.containers[0].securityContext.privileged is \"true\"; must be true or "
         "false\n  hint: write it "
         "without quotes"},
        {"HostPidAndSharing",
         pod("  hostPID: true\n  shareProcessNamespace: true\n  hostIPC: false\n  containers: "
             "[{name: c, image: i}]\n"),
         "f.yaml:5: spec.hostPID is not supported\n  hint: remove it: each container sees its own "
         "processes only\n"
         "f.yaml:6: spec.shareProcessNamespace is not supported\n  hint: remove it: each container "
         "sees its own processes "
         "only"},
        {"DnsNoneWithoutServers", pod("  dnsPolicy: None\n  containers: [{name: c, image: i}]\n"),
         "f.yaml:4: spec.dnsConfig.nameservers is required with dnsPolicy: None"},
        {"BadAddress",
         pod("  hostAliases: [{ip: 10.0.0, hostnames: [a]}]\n  containers: [{name: c, image: "
             "i}]\n"),
         "f.yaml:5: spec.hostAliases[0].ip is \"10.0.0\"; must be an IPv4 or IPv6 address"},
        {"ModeTooLarge",
         pod("  containers: [{name: c, image: i}]\n  volumes: [{name: v, configMap: {name: m, "
             "defaultMode: 644}}]\n"),
         "f.yaml:6: spec.volumes[0].configMap.defaultMode is 644; must be 0 to 511"},
    }),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    OfWorkloadsAndServices, Mistakes,
    testing::ValuesIn(std::vector<Case>{
        {"SelectorDoesNotFit",
         "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  selector: "
         "{matchLabels: {a: b}}\n"
         "  template:\n    metadata: {labels: {a: c}}\n    spec: {containers: [{name: c, image: "
         "i}]}\n",
         "f.yaml:7: spec.template.metadata.labels must fit the selector a=b\n  hint: give the "
         "template the labels of "
         "spec.selector.matchLabels"},
        {"SelectorEmpty",
         "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: d}\nspec:\n  selector: {}\n"
         "  template:\n    metadata: {labels: {a: c}}\n    spec: {containers: [{name: c, image: "
         "i}]}\n",
         "f.yaml:5: spec.selector must not be empty: it would choose every pod of the namespace"},
        {"NoSelector",
         "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n"
         "  template:\n    metadata: {labels: {a: c}}\n    spec: {containers: [{name: c, image: "
         "i}]}\n",
         "f.yaml:4: spec.selector is required"},
        {"RestartNeverInADeployment",
         "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  selector: "
         "{matchLabels: {a: b}}\n"
         "  template:\n    metadata: {labels: {a: b}}\n    spec:\n      restartPolicy: Never\n     "
         " containers: [{name: c, image: i}]\n",
         "f.yaml:9: spec.template.spec.restartPolicy is \"Never\"; must be Always here\n  hint: "
         "use a Job for pods that end"},
        {"JobRestartsAlways",
         "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec:\n  template: {spec: "
         "{containers: [{name: c, image: i}]}}\n",
         "f.yaml:5: spec.template.spec.restartPolicy must be OnFailure or Never in a Job\n  hint: "
         "set restartPolicy: Never to "
         "keep failed pods, OnFailure to restart containers"},
        {"BothBoundsZero",
         deployment("  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 0%}}\n"),
         "f.yaml:7: spec.strategy.rollingUpdate.maxUnavailable must not be 0 when maxSurge is 0: "
         "no pod could be replaced"},
        {"BadShare",
         deployment("  strategy: {rollingUpdate: {maxSurge: some, maxUnavailable: 101%}}\n"),
         "f.yaml:7: spec.strategy.rollingUpdate.maxSurge is \"some\"; must be a number or a "
         "percentage such as 25%\n"
         "f.yaml:7: spec.strategy.rollingUpdate.maxUnavailable is 101%; must not be above 100%"},
        {"RecreateWithBounds",
         deployment("  strategy: {type: Recreate, rollingUpdate: {maxSurge: 1}}\n"),
         "f.yaml:7: spec.strategy.rollingUpdate must be absent with type: Recreate"},
        {"DeadlineBelowMinReady",
         deployment("  minReadySeconds: 60\n  progressDeadlineSeconds: 60\n"),
         "f.yaml:8: spec.progressDeadlineSeconds is 60; must be above minReadySeconds (60)"},
        {"NegativeReplicas", deployment("  replicas: -1\n"),
         "f.yaml:7: spec.replicas is -1; must be at least 0"},
        {"FractionOfAReplica", deployment("  replicas: 1.5\n"),
         "f.yaml:7: spec.replicas is the number 1.5; must be a whole number"},
        {"LoadBalancer", service("  type: LoadBalancer\n  ports: [{port: 1}]\n"),
         "f.yaml:6: spec.type LoadBalancer is not supported\n  hint: there is no load balancer; "
         "use type NodePort"},
        {"ServiceTypeTypo", service("  type: Nodeport\n  ports: [{port: 1}]\n"),
         "f.yaml:6: spec.type is \"Nodeport\"; must be one of ClusterIP, NodePort, ExternalName\n  "
         "hint: did you mean NodePort?"},
        {"NoPorts", service(""), "f.yaml:4: spec.ports is required"},
        {"PortsWithoutNames", service("  ports: [{port: 1}, {port: 2}]\n"),
         "f.yaml:6: spec.ports[0].name is required when there are several ports\n"
         "f.yaml:6: spec.ports[1].name is required when there are several ports"},
        {"SamePortTwice", service("  ports: [{name: a, port: 1}, {name: b, port: 1}]\n"),
         "f.yaml:6: spec.ports[1] is used twice: 1/TCP"},
        {"NodePortWithoutType", service("  ports: [{port: 1, nodePort: 30000}]\n"),
         "f.yaml:6: spec.ports[0].nodePort must be absent with type: ClusterIP\n  hint: set type: "
         "NodePort"},
        {"NodePortOutOfRange", service("  type: NodePort\n  ports: [{port: 1, nodePort: 80}]\n"),
         "f.yaml:7: spec.ports[0].nodePort is 80; must be 30000 to 32767"},
        {"ExternalNameWithoutName", service("  type: ExternalName\n"),
         "f.yaml:4: spec.externalName is required with type: ExternalName"},
        {"BadClusterIp", service("  clusterIP: 10.0.0.300\n  ports: [{port: 1}]\n"),
         "f.yaml:6: spec.clusterIP is \"10.0.0.300\"; must be an IPv4 or IPv6 address, None or "
         "absent"},
    }),
    [](const auto& info) { return info.param.name; });

INSTANTIATE_TEST_SUITE_P(
    OfData, Mistakes,
    testing::ValuesIn(std::vector<Case>{
        {"DataIsANumber",
         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  port: 80\n",
         "f.yaml:5: data.port is the number 80; must be a string\n  hint: write it in quotes: "
         "\"80\""},
        {"BadKey", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a/b: x\n",
         "f.yaml:5: data[a/b] has a bad key: it must be 1 to 253 letters, digits, \"-\", \"_\" and "
         "\".\", and not begin with "
         "\"..\""},
        {"KeyInBoth",
         "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: x}\nbinaryData: {k: "
         "eA==}\n",
         "f.yaml:5: binaryData.k is a key of data too"},
        {"NotBase64",
         "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {password: hunter2}\n",
         "f.yaml:4: data.password must be base64 with its padding\n  hint: put plain text into "
         "stringData, or encode it: "
         "base64 -w0"},
        {"TlsWithoutKey",
         "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: kubernetes.io/tls\ndata: "
         "{tls.crt: eA==}\n",
         "f.yaml:5: data[tls.key] is required in a Secret of type kubernetes.io/tls"},
        {"BadDockerConfig",
         "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ntype: "
         "kubernetes.io/dockerconfigjson\nstringData: {.dockerconfigjson: '[]'}\n",
         "f.yaml:1: data[.dockerconfigjson] must be JSON of the form {\"auths\": {...}}\n  hint: "
         "make it with: podman login "
         "--authfile FILE REGISTRY"},
    }),
    [](const auto& info) { return info.param.name; });

TEST(ManyMistakes, AreAllNamedInTheOrderOfTheFileUpToFifty) {
  std::string text =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: UPPER}\nspec:\n  nonsense: 1\n  containers:\n";
  for (int i = 0; i < 60; ++i) text += fmt::format("  - {{name: c{}}}\n", i);
  const ParsedFile parsed = parse_file(text, "f.yaml");
  EXPECT_EQ(parsed.problems.size(), 62u);
  const std::string shown = describe(parsed.problems);
  EXPECT_THAT(shown, testing::StartsWith("f.yaml:3: metadata.name is \"UPPER\""));
  EXPECT_THAT(shown, HasSubstr("f.yaml:5: spec.nonsense"));
  EXPECT_THAT(shown, testing::EndsWith("and 12 more"));
}

TEST(ManyMistakes, CostLittle) {
  std::string text =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers: [{name: c, image: "
      "i}]\n";
  for (int i = 0; i < 40'000; ++i) text += fmt::format("  nonsense{}: 1\n", i);
  EXPECT_EQ(parse_file(text, "f.yaml").problems.size(), kProblemsKeptMax);
}

TEST(TooLarge, DataAndAnnotations) {
  const std::string data(1 << 20, 'x');
  EXPECT_THAT(
      problems(fmt::format(
          "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{k: {}}}\n", data)),
      HasSubstr("f.yaml:4: data has 1048577 bytes; at most 1048576"));
  EXPECT_THAT(
      problems(fmt::format(
          "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations: {{k: {}}}\n",
          data.substr(0, 256 << 10))),
      HasSubstr("f.yaml:5: metadata.annotations has 262145 bytes; at most 262144"));
}

}  // namespace
}  // namespace nexus::manifest
