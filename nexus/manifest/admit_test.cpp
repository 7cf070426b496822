#include "manifest/admit.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "manifest/manifest_file.hpp"

namespace nexus::manifest {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

Json yaml(std::string_view text) {
  return read_documents(text, "test").documents.at(0).value;
}

Json admitted(std::string_view text) {
  const Admission admission = admit(yaml(text));
  EXPECT_TRUE(admission.accepted()) << text << "\n" << describe(admission.errors);
  return admission.object;
}

Json at(const Json& object, const char* pointer) {
  return object.at(Json::json_pointer(pointer));
}

constexpr std::string_view kPod = R"(
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers: [{name: c, image: "nginx:1.27", ports: [{containerPort: 80}]}]
)";

// --- Defaults: the right column is what the documentation of Kubernetes says ---

struct Default {
  const char* pointer;
  const char* value;
};

void expect_defaults(const Json& object, std::initializer_list<Default> defaults) {
  for (const Default& one : defaults) {
    const Json::json_pointer pointer(one.pointer);
    ASSERT_TRUE(object.contains(pointer)) << one.pointer << " is missing in\n" << object.dump(2);
    EXPECT_EQ(object.at(pointer).dump(), one.value) << one.pointer;
  }
}

TEST(Defaults, OfAPod) {
  expect_defaults(admitted(kPod),
                  {{"/metadata/namespace", R"("default")"},
                   {"/spec/restartPolicy", R"("Always")"},
                   {"/spec/terminationGracePeriodSeconds", "30"},
                   {"/spec/dnsPolicy", R"("ClusterFirst")"},
                   {"/spec/schedulerName", R"("default-scheduler")"},
                   {"/spec/securityContext", "{}"},
                   {"/spec/containers/0/imagePullPolicy", R"("IfNotPresent")"},
                   {"/spec/containers/0/terminationMessagePath", R"("/dev/termination-log")"},
                   {"/spec/containers/0/terminationMessagePolicy", R"("File")"},
                   {"/spec/containers/0/resources", "{}"},
                   {"/spec/containers/0/ports/0/protocol", R"("TCP")"}});
}

TEST(Defaults, PullPolicyFollowsTheTag) {
  const std::pair<const char*, const char*> cases[] = {{"nginx", "Always"},
                                                       {"nginx:latest", "Always"},
                                                       {"nginx:1.27", "IfNotPresent"},
                                                       {"localhost:5000/nginx", "Always"},
                                                       {"localhost:5000/nginx:1", "IfNotPresent"},
                                                       {"nginx@sha256:0123", "IfNotPresent"},
                                                       {"[fd00::1]:5000/a/b:2", "IfNotPresent"}};
  for (const auto& [image, policy] : cases) {
    Json pod = yaml(kPod);
    pod["spec"]["containers"][0]["image"] = image;
    EXPECT_EQ(at(admit(pod).object, "/spec/containers/0/imagePullPolicy"), policy) << image;
  }
}

TEST(Defaults, OfProbesAndVolumes) {
  const Json pod = admitted(R"(
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: c
    image: i:1
    livenessProbe: {httpGet: {port: 80}}
    readinessProbe: {tcpSocket: {port: 80}, periodSeconds: 3}
    env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
    volumeMounts: [{name: m, mountPath: /m}]
    resources: {limits: {cpu: 1, memory: 0.5Gi}, requests: {cpu: 0.1}}
  volumes:
  - {name: m, configMap: {name: m}}
  - {name: s, secret: {secretName: s, items: [{key: k, path: p, mode: 0400}]}}
  - {name: d, downwardAPI: {items: [{path: l, fieldRef: {fieldPath: metadata.labels}}]}}
  - {name: p, projected: {sources: [{configMap: {name: m}}]}}
  - {name: e}
  - {name: h, hostPath: {path: /x}}
)");
  expect_defaults(
      pod,
      {{"/spec/containers/0/livenessProbe",
        R"({"failureThreshold":3,"httpGet":{"path":"/","port":80,"scheme":"HTTP"},"periodSeconds":10,)"
        R"("successThreshold":1,"timeoutSeconds":1})"},
       {"/spec/containers/0/readinessProbe",
        R"({"failureThreshold":3,"periodSeconds":3,"successThreshold":1,"tcpSocket":{"port":80},)"
        R"("timeoutSeconds":1})"},
       {"/spec/containers/0/env/0/valueFrom/fieldRef/apiVersion", R"("v1")"},
       {"/spec/containers/0/resources",
        R"({"limits":{"cpu":"1","memory":"512Mi"},"requests":{"cpu":"100m","memory":"512Mi"}})"},
       {"/spec/volumes/0/configMap/defaultMode", "420"},
       {"/spec/volumes/1/secret/defaultMode", "420"},
       {"/spec/volumes/1/secret/items/0/mode", "256"},
       {"/spec/volumes/2/downwardAPI/defaultMode", "420"},
       {"/spec/volumes/3/projected/defaultMode", "420"},
       {"/spec/volumes/4/emptyDir", "{}"},
       {"/spec/volumes/5/hostPath/type", R"("")"}});
}

TEST(Defaults, OfADeployment) {
  const Json deployment = admitted(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}
)");
  expect_defaults(
      deployment,
      {{"/spec/replicas", "1"},
       {"/spec/strategy",
        R"({"rollingUpdate":{"maxSurge":"25%","maxUnavailable":"25%"},"type":"RollingUpdate"})"},
       {"/spec/revisionHistoryLimit", "10"},
       {"/spec/progressDeadlineSeconds", "600"},
       {"/spec/template/spec/restartPolicy", R"("Always")"}});
  Json recreate = deployment;
  recreate["spec"]["strategy"] = {{"type", "Recreate"}};
  EXPECT_EQ(at(admit(recreate).object, "/spec/strategy").dump(), R"({"type":"Recreate"})");
  Json surge = deployment;
  surge["spec"]["strategy"] = {{"rollingUpdate", {{"maxSurge", 1}}}};
  EXPECT_EQ(at(admit(surge).object, "/spec/strategy").dump(),
            R"({"rollingUpdate":{"maxSurge":1,"maxUnavailable":"25%"},"type":"RollingUpdate"})");
}

TEST(Defaults, OfAJob) {
  constexpr std::string_view text = R"(
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
)";
  expect_defaults(admitted(text), {{"/spec/completions", "1"},
                                   {"/spec/parallelism", "1"},
                                   {"/spec/backoffLimit", "6"},
                                   {"/spec/completionMode", R"("NonIndexed")"},
                                   {"/spec/suspend", "false"}});
  Json queue = yaml(text);
  queue["spec"]["parallelism"] = 3;
  EXPECT_FALSE(admit(queue).object["spec"].contains("completions"));
  Json many = yaml(text);
  many["spec"]["completions"] = 5;
  EXPECT_EQ(at(admit(many).object, "/spec/parallelism"), 1);
}

TEST(Defaults, OfAService) {
  const Json service = admitted(R"(
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {selector: {a: b}, sessionAffinity: ClientIP, type: NodePort, ports: [{port: 80}]}
)");
  expect_defaults(service, {{"/spec/ports/0", R"({"port":80,"protocol":"TCP","targetPort":80})"},
                            {"/spec/sessionAffinityConfig/clientIP/timeoutSeconds", "10800"},
                            {"/spec/internalTrafficPolicy", R"("Cluster")"},
                            {"/spec/externalTrafficPolicy", R"("Cluster")"}});
}

TEST(Defaults, AreStable) {
  // What was admitted is admitted again without a change and without a word.
  for (const std::string_view text : {kPod}) {
    const Json once = admitted(text);
    const Admission twice = admit(once);
    EXPECT_TRUE(twice.accepted());
    EXPECT_THAT(twice.notes, IsEmpty());
    EXPECT_EQ(twice.object, once);
  }
}

TEST(Secrets, TextIsMergedIntoData) {
  const Json secret = admitted(R"(
apiVersion: v1
kind: Secret
metadata: {name: s}
data: {a: "eA==", b: "eQ=="}
stringData: {b: hello, c: "1"}
)");
  EXPECT_EQ(secret["data"].dump(), R"({"a":"eA==","b":"aGVsbG8=","c":"MQ=="})");
  EXPECT_FALSE(secret.contains("stringData"));
  EXPECT_EQ(secret["type"], "Opaque");
}

TEST(ServerFields, AreDropped) {
  Json pod = yaml(kPod);
  pod["status"] = {{"phase", "Running"}};
  pod["metadata"]["managedFields"] = Json::array({1});
  pod["metadata"]["resourceVersion"] = "17";
  pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z";
  const Json object = admit(pod).object;
  EXPECT_FALSE(object.contains("status"));
  EXPECT_FALSE(object["metadata"].contains("managedFields"));
  EXPECT_FALSE(object["metadata"].contains("deletionTimestamp"));
  EXPECT_EQ(object["metadata"]["resourceVersion"], "17");
}

TEST(OldVersions, AreReadWithANote) {
  const Admission admission = admit(yaml(R"(
apiVersion: extensions/v1beta1
kind: Deployment
metadata: {name: web}
spec:
  rollbackTo: {revision: 1}
  template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: i}]}}
)"));
  ASSERT_TRUE(admission.accepted()) << describe(admission.errors);
  EXPECT_EQ(admission.object["apiVersion"], "apps/v1");
  EXPECT_EQ(at(admission.object, "/spec/selector/matchLabels/a"), "b");
  EXPECT_THAT(describe(admission.notes), HasSubstr("extensions/v1beta1 is an old version"));
}

TEST(Notes, TellWhatHasNoEffect) {
  const Admission admission = admit(yaml(R"(
apiVersion: v1
kind: Pod
metadata: {name: p, annotations: {seccomp.security.alpha.kubernetes.io/pod: x}}
spec:
  serviceAccountName: robot
  priorityClassName: high
  tolerations: [{key: a, operator: Exists}]
  affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{}]}}}
  enableServiceLinks: false
  containers: [{name: c, image: i:1, resources: {requests: {memory: 64m, ephemeral-storage: 1Gi}}}]
)"));
  ASSERT_TRUE(admission.accepted()) << describe(admission.errors);
  std::vector<std::string> fields;
  for (const Problem& note : admission.notes) fields.push_back(note.field);
  EXPECT_THAT(fields,
              testing::UnorderedElementsAre(
                  "spec.serviceAccountName", "spec.priorityClassName", "spec.tolerations",
                  "spec.affinity", "metadata.annotations[seccomp.security.alpha.kubernetes.io/pod]",
                  "spec.containers[0].resources.requests.memory",
                  "spec.containers[0].resources.requests.ephemeral-storage"));
  EXPECT_EQ(admission.object["spec"]["serviceAccount"], "robot");
}

TEST(UnknownFields, CanBeDroppedWithANote) {
  Json pod = yaml(kPod);
  pod["spec"]["restartpolicy"] = "Never";
  const Admission refused = admit(pod);
  EXPECT_EQ(describe(refused.errors),
            "spec.restartpolicy is not a field of PodSpec\n  hint: did you mean restartPolicy?");
  AdmitOptions options;
  options.unknown_fields = AdmitOptions::UnknownFields::Drop;
  const Admission relaxed = admit(pod, options);
  EXPECT_TRUE(relaxed.accepted());
  EXPECT_FALSE(relaxed.object["spec"].contains("restartpolicy"));
  EXPECT_EQ(relaxed.notes.size(), 1u);
}

TEST(Defaults, APortOfZeroIsOneThatWasNotGiven) {
  for (const char* type : {"ClusterIP", "NodePort"}) {
    Json service = yaml(R"(
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {selector: {a: b}, ports: [{name: web, port: 80, nodePort: 0}, {name: api, port: 81, nodePort: 0}]}
)");
    service["spec"]["type"] = type;
    const Admission admission = admit(service);
    EXPECT_TRUE(admission.accepted()) << describe(admission.errors);
    EXPECT_FALSE(at(admission.object, "/spec/ports/0").contains("nodePort"));
  }
  const Json deployment = admitted(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  selector: {matchLabels: {a: b}}
  template:
    metadata: {labels: {a: b}}
    spec:
      containers: [{name: c, image: i, ports: [{containerPort: 80, hostPort: 0}, {containerPort: 81, hostPort: 0}]}]
)");
  EXPECT_FALSE(at(deployment, "/spec/template/spec/containers/0/ports/0").contains("hostPort"));
  Json pod = yaml(kPod);
  pod["spec"]["containers"][0]["ports"] = {{{"containerPort", 80}, {"hostPort", 0}}};
  pod["spec"]["hostNetwork"] = true;
  EXPECT_EQ(at(admit(pod).object, "/spec/containers/0/ports/0/hostPort"), 80);
  pod["spec"]["containers"][0]["ports"][0]["hostPort"] = -1;
  EXPECT_FALSE(admit(pod).accepted());
}

// --- Updates ---

TEST(Updates, KeepWhatTheServerAllotted) {
  Json stored = admitted(R"(
apiVersion: v1
kind: Service
metadata: {name: s, uid: u1, creationTimestamp: "2026-01-01T00:00:00Z"}
spec: {type: NodePort, selector: {a: b}, clusterIP: "fd00::1", clusterIPs: ["fd00::1"], ports: [{port: 80, nodePort: 30080}]}
)");
  AdmitOptions options;
  options.existing = &stored;
  const Admission admission = admit(yaml(R"(
apiVersion: v1
kind: Service
metadata: {name: s}
spec: {type: NodePort, selector: {a: c}, ports: [{port: 80}, {name: x, port: 81}]}
)"),
                                    options);
  EXPECT_EQ(describe(admission.errors),
            "spec.ports[0].name is required when there are several ports");
  EXPECT_EQ(at(admission.object, "/spec/clusterIP"), "fd00::1");
  EXPECT_EQ(at(admission.object, "/spec/ports/0/nodePort"), 30080);
  EXPECT_FALSE(at(admission.object, "/spec/ports/1").contains("nodePort"));
  EXPECT_EQ(at(admission.object, "/metadata/uid"), "u1");
}

std::string update_problems(const Json& before, const Json& after) {
  AdmitOptions options;
  options.existing = &before;
  return describe(admit(after, options).errors);
}

TEST(Updates, RefuseWhatMustStay) {
  const Json pod = admitted(kPod);
  Json changed = pod;
  changed["spec"]["containers"][0]["image"] = "nginx:1.28";
  changed["spec"]["containers"][0]["resources"] = {{"limits", {{"memory", "1Gi"}}}};
  changed["spec"]["nodeName"] = "n1";
  changed["metadata"]["labels"] = {{"a", "b"}};
  EXPECT_EQ(update_problems(pod, changed), "");
  changed["spec"]["containers"][0]["command"] = {"sh"};
  EXPECT_THAT(update_problems(pod, changed), HasSubstr("spec.containers must not change"));
  Json renamed = pod;
  renamed["metadata"]["name"] = "q";
  EXPECT_THAT(update_problems(pod, renamed),
              HasSubstr("metadata.name must not change: it is \"p\""));
  Json other = pod;
  other["metadata"]["uid"] = "other";
  Json with_uid = pod;
  with_uid["metadata"]["uid"] = "u";
  EXPECT_THAT(update_problems(with_uid, other), HasSubstr("metadata.uid must not change"));

  const Json deployment = admitted(R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {a: b}}
  template: {metadata: {labels: {a: b, c: d}}, spec: {containers: [{name: c, image: i}]}}
)");
  Json selector = deployment;
  selector["spec"]["selector"]["matchLabels"] = {{"c", "d"}};
  EXPECT_THAT(update_problems(deployment, selector), HasSubstr("spec.selector must not change"));
  Json scaled = deployment;
  scaled["spec"]["replicas"] = 7;
  scaled["spec"]["template"]["spec"]["containers"][0]["image"] = "j";
  EXPECT_EQ(update_problems(deployment, scaled), "");

  const Json job = admitted(R"(
apiVersion: batch/v1
kind: Job
metadata: {name: j}
spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: i}]}}}
)");
  Json job_changed = job;
  job_changed["spec"]["parallelism"] = 4;
  job_changed["spec"]["backoffLimit"] = 1;
  EXPECT_EQ(update_problems(job, job_changed), "");
  job_changed["spec"]["completions"] = 4;
  job_changed["spec"]["template"]["spec"]["containers"][0]["image"] = "j";
  EXPECT_THAT(update_problems(job, job_changed), HasSubstr("spec.completions must not change"));
  EXPECT_THAT(update_problems(job, job_changed), HasSubstr("spec.template must not change"));

  const Json config = admitted(
      "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, immutable: true, data: {a: b}}");
  Json config_changed = config;
  config_changed["data"]["a"] = "c";
  config_changed.erase("immutable");
  EXPECT_THAT(update_problems(config, config_changed),
              HasSubstr("data must not change: the object is immutable"));
  EXPECT_THAT(update_problems(config, config_changed), HasSubstr("immutable must stay true"));

  const Json secret = admitted("{apiVersion: v1, kind: Secret, metadata: {name: c}}");
  Json retyped = secret;
  retyped["type"] = "example.com/other";
  EXPECT_THAT(update_problems(secret, retyped), HasSubstr("type must not change"));

  const Json service = admitted(
      "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {selector: {a: b}, clusterIP: "
      "10.0.0.1, ports: [{port: 1}]}}");
  Json moved = service;
  // An empty address is none, and the one that the server gave stays.
  Json empty = service;
  empty["spec"]["clusterIP"] = "";
  AdmitOptions over;
  over.existing = &service;
  const Admission kept = admit(empty, over);
  EXPECT_TRUE(kept.accepted());
  EXPECT_EQ(at(kept.object, "/spec/clusterIP"), service["spec"]["clusterIP"]);
  moved["spec"]["clusterIP"] = "10.0.0.2";
  EXPECT_THAT(update_problems(service, moved), HasSubstr("spec.clusterIP must not change"));
  Json external = yaml(
      "{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ExternalName, "
      "externalName: a.b}}");
  EXPECT_EQ(update_problems(service, external), "");
}

TEST(Updates, AContainerThatIsNoneIsRefusedAndNothingElseHappens) {
  const Json pod = admitted(
      "{apiVersion: v1, kind: Pod, metadata: {name: p}, spec: {containers: [{name: c, image: "
      "i}]}}");
  AdmitOptions over;
  over.existing = &pod;
  for (const Json& wrong : {Json("text"), Json::array({5}), Json::array({"c"})}) {
    Json changed = pod;
    changed["spec"]["containers"] = wrong;
    EXPECT_FALSE(admit(changed, over).accepted()) << wrong;
  }
}

TEST(Updates, OnlyServerKindsThatExistCanBeChanged) {
  const Json node =
      yaml("{apiVersion: v1, kind: Node, metadata: {name: n1}, spec: {unschedulable: true}}");
  EXPECT_THAT(describe(admit(node).errors), HasSubstr("kind Node is made by the server only"));
  EXPECT_EQ(update_problems(yaml("{apiVersion: v1, kind: Node, metadata: {name: n1}}"), node), "");
}

}  // namespace
}  // namespace nexus::manifest
