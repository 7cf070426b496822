#include "manifest/kinds.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <base/nearest.hpp>
#include <cctype>

namespace nexus::manifest {

namespace {

using Names = std::span<const std::string_view>;

constexpr std::uint16_t bits(std::initializer_list<Verb> verbs) {
  std::uint16_t all = 0;
  for (Verb verb : verbs) all |= static_cast<std::uint16_t>(verb);
  return all;
}
constexpr std::uint16_t kLook = bits({Verb::Get, Verb::List});  // computed, and nothing to wait for
constexpr std::uint16_t kRead = kLook | bits({Verb::Watch});
constexpr std::uint16_t kWrite =
    kRead | bits({Verb::Create, Verb::Update, Verb::Patch, Verb::Delete, Verb::DeleteCollection});

constexpr std::string_view kAll[] = {"all"};
constexpr std::string_view kPo[] = {"po"}, kDeploy[] = {"deploy"}, kRs[] = {"rs"}, kSvc[] = {"svc"},
                           kCm[] = {"cm"}, kNs[] = {"ns"}, kNo[] = {"no"}, kEv[] = {"ev"},
                           kEp[] = {"ep"};
constexpr std::string_view kStatus[] = {"status"}, kScale[] = {"scale", "status"},
                           kPodSub[] = {"attach", "exec", "log", "portforward", "status"};

constexpr KindInfo kServed[] = {
    {"Namespace", "namespaces", "namespace", kNs, "", "v1", false, kWrite, kStatus, {}},
    {"Node",
     "nodes",
     "node",
     kNo,
     "",
     "v1",
     false,
     kRead | bits({Verb::Update, Verb::Patch}),
     kStatus,
     {}},
    {"ConfigMap", "configmaps", "configmap", kCm, "", "v1", true, kWrite, {}, {}},
    {"Secret", "secrets", "secret", {}, "", "v1", true, kWrite, {}, {}},
    {"Service", "services", "service", kSvc, "", "v1", true, kWrite, kStatus, kAll},
    {"Endpoints", "endpoints", "endpoints", kEp, "", "v1", true, kLook, {}, {}},
    {"EndpointSlice",
     "endpointslices",
     "endpointslice",
     {},
     "discovery.k8s.io",
     "v1",
     true,
     kLook,
     {},
     {}},
    {"Pod", "pods", "pod", kPo, "", "v1", true, kWrite, kPodSub, kAll},
    {"ReplicaSet", "replicasets", "replicaset", kRs, "apps", "v1", true, kWrite, kScale, kAll},
    {"Deployment", "deployments", "deployment", kDeploy, "apps", "v1", true, kWrite, kScale, kAll},
    {"Job", "jobs", "job", {}, "batch", "v1", true, kWrite, kStatus, kAll},
    {"Event", "events", "event", kEv, "", "v1", true, kRead, {}, {}},
};

/// A kind that people write and that this version does not serve.
struct UnservedKind {
  std::string_view kind, plural, short_name, group, hint;
};
constexpr std::string_view kPvcHint =
    "a volume with persistentVolumeClaim in a pod makes a named volume of the node on first use; "
    "no claim "
    "object is needed";
constexpr std::string_view kRoleHint =
    "remove it: who may do what follows from the token or the socket of the caller (hm auth)";
constexpr std::string_view kIngressHint = "give the Service type NodePort to reach it from outside";
constexpr std::string_view kQuotaHint = "set resources.limits on each container";
constexpr std::string_view kWebhookHint =
    "remove it: objects are checked by the built-in schema (hm explain)";
constexpr std::string_view kStatefulHint =
    "run it as a Deployment with one replica and a volume with persistentVolumeClaim";

constexpr UnservedKind kUnserved[] = {
    {"StatefulSet", "statefulsets", "sts", "apps", kStatefulHint},
    {"DaemonSet", "daemonsets", "ds", "apps",
     "on one node a Deployment with one replica does the same"},
    {"ReplicationController", "replicationcontrollers", "rc", "",
     "use a Deployment (apps/v1) with spec.selector.matchLabels"},
    {"ControllerRevision", "controllerrevisions", "", "apps",
     "the history of a Deployment: hm history NAME"},
    {"CronJob", "cronjobs", "cj", "batch", "create a Job whenever it is due"},
    {"PersistentVolumeClaim", "persistentvolumeclaims", "pvc", "", kPvcHint},
    {"PersistentVolume", "persistentvolumes", "pv", "", kPvcHint},
    {"StorageClass", "storageclasses", "sc", "storage.k8s.io", kPvcHint},
    {"VolumeSnapshot", "volumesnapshots", "vs", "snapshot.storage.k8s.io", kPvcHint},
    {"VolumeAttachment", "volumeattachments", "", "storage.k8s.io", kPvcHint},
    {"CSIDriver", "csidrivers", "", "storage.k8s.io", kPvcHint},
    {"CSINode", "csinodes", "", "storage.k8s.io", kPvcHint},
    {"Ingress", "ingresses", "ing", "networking.k8s.io", kIngressHint},
    {"IngressClass", "ingressclasses", "", "networking.k8s.io", kIngressHint},
    {"Gateway", "gateways", "gtw", "gateway.networking.k8s.io", kIngressHint},
    {"GatewayClass", "gatewayclasses", "gc", "gateway.networking.k8s.io", kIngressHint},
    {"HTTPRoute", "httproutes", "", "gateway.networking.k8s.io", kIngressHint},
    {"NetworkPolicy", "networkpolicies", "netpol", "networking.k8s.io",
     "remove it; without it every pod may reach every other one"},
    {"HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", "autoscaling",
     "set the number of replicas: hm scale NAME N"},
    {"PodDisruptionBudget", "poddisruptionbudgets", "pdb", "policy",
     "spec.strategy.rollingUpdate of a Deployment bounds how many of its pods are down in an "
     "update"},
    {"PodSecurityPolicy", "podsecuritypolicies", "psp", "policy",
     "set securityContext in the pods"},
    {"ServiceAccount", "serviceaccounts", "sa", "",
     "remove it: pods get no credentials of their own"},
    {"Role", "roles", "", "rbac.authorization.k8s.io", kRoleHint},
    {"RoleBinding", "rolebindings", "", "rbac.authorization.k8s.io", kRoleHint},
    {"ClusterRole", "clusterroles", "", "rbac.authorization.k8s.io", kRoleHint},
    {"ClusterRoleBinding", "clusterrolebindings", "", "rbac.authorization.k8s.io", kRoleHint},
    {"ResourceQuota", "resourcequotas", "quota", "", kQuotaHint},
    {"LimitRange", "limitranges", "limits", "", kQuotaHint},
    {"PriorityClass", "priorityclasses", "pc", "scheduling.k8s.io",
     "remove it: pods have no priorities"},
    {"RuntimeClass", "runtimeclasses", "", "node.k8s.io",
     "remove it: every pod runs as containers"},
    {"PodTemplate", "podtemplates", "", "", "put the template into a Deployment or a Job"},
    {"Lease", "leases", "", "coordination.k8s.io", "leases are kept inside the store"},
    {"ComponentStatus", "componentstatuses", "cs", "", "hm doctor checks the parts of a node"},
    {"CustomResourceDefinition", "customresourcedefinitions", "crd", "apiextensions.k8s.io",
     "kinds of your own cannot be added"},
    {"APIService", "apiservices", "", "apiregistration.k8s.io",
     "kinds of your own cannot be added"},
    {"MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "",
     "admissionregistration.k8s.io", kWebhookHint},
    {"ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "",
     "admissionregistration.k8s.io", kWebhookHint},
    {"CertificateSigningRequest", "certificatesigningrequests", "csr", "certificates.k8s.io",
     "remove it: certificates are issued by the node"},
    {"Kustomization", "kustomizations", "", "kustomize.config.k8s.io",
     "render it first and deploy the result: kustomize build . | hm deploy -f -"},
};

/// Group versions in which a served kind was written once and can still be read.
struct OldVersion {
  std::string_view api_version, kind;
};
constexpr OldVersion kOldVersions[] = {
    {"extensions/v1beta1", "Deployment"}, {"apps/v1beta1", "Deployment"},
    {"apps/v1beta2", "Deployment"},       {"extensions/v1beta1", "ReplicaSet"},
    {"apps/v1beta2", "ReplicaSet"},       {"batch/v1beta1", "Job"},
    {"extensions/v1beta1", "Job"},        {"discovery.k8s.io/v1beta1", "EndpointSlice"},
};

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool is_name_of(const KindInfo& kind, std::string_view word) {
  return word == kind.plural || word == kind.singular || word == lower(kind.kind) ||
         std::ranges::find(kind.short_names, word) != kind.short_names.end();
}

const UnservedKind* find_unserved(std::string_view name) {
  const std::string word = lower(name.substr(0, name.find('.')));
  for (const UnservedKind& kind : kUnserved) {
    if (word == lower(kind.kind) || word == kind.plural ||
        (word == kind.short_name && !word.empty())) {
      return &kind;
    }
  }
  return nullptr;
}

base::Error not_served(const UnservedKind& kind) {
  return base::with_hint(
      base::make_error(base::Errc::Unsupported,
                       fmt::format("kind {} is not served by this version", kind.kind)),
      std::string(kind.hint));
}

std::string served_list() {
  std::string out;
  for (const KindInfo& kind : kServed) {
    if (!kind.serves(Verb::Create)) continue;
    out += (out.empty() ? "" : ", ") + std::string(kind.kind);
  }
  return out;
}

base::Error no_such_kind(std::string_view name, bool as_written_in_objects) {
  std::vector<std::string> candidates;
  for (const KindInfo& kind : kServed) {
    candidates.emplace_back(as_written_in_objects ? kind.kind : kind.singular);
    if (!as_written_in_objects) candidates.emplace_back(kind.plural);
  }
  for (const UnservedKind& kind : kUnserved) {
    candidates.push_back(as_written_in_objects ? std::string(kind.kind) : lower(kind.kind));
  }
  base::Error error = base::make_error(base::Errc::InvalidArgument,
                                       fmt::format("kind {} does not exist", name.substr(0, 100)));
  if (auto near = base::nearest(name.substr(0, 100), candidates)) {
    return base::with_hint(std::move(error), fmt::format("did you mean {}?", *near));
  }
  return base::with_hint(std::move(error), fmt::format("this version serves {}", served_list()));
}

}  // namespace

std::string KindInfo::api_version() const {
  return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version);
}

std::string KindInfo::group_resource() const {
  return group.empty() ? std::string(plural) : fmt::format("{}.{}", plural, group);
}

std::span<const KindInfo> served_kinds() {
  return kServed;
}

std::size_t apply_rank(const KindInfo& kind) {
  return static_cast<std::size_t>(std::ranges::find(kServed, kind.kind, &KindInfo::kind) -
                                  std::begin(kServed));
}

const KindInfo* find_kind(std::string_view name) {
  const std::string word = lower(name);
  const std::size_t dot = word.find('.');
  const std::string first = word.substr(0, dot);
  for (const KindInfo& kind : kServed) {
    if (!is_name_of(kind, first)) continue;
    if (dot == std::string::npos) return &kind;
    const std::string rest = word.substr(dot + 1);
    if (rest == kind.group || rest == fmt::format("{}.{}", kind.version, kind.group) ||
        (kind.group.empty() && rest == kind.version)) {
      return &kind;
    }
  }
  return nullptr;
}

const KindInfo* find_resource(std::string_view group, std::string_view version,
                              std::string_view plural) {
  for (const KindInfo& kind : kServed) {
    if (kind.group == group && kind.version == version && kind.plural == plural) return &kind;
  }
  return nullptr;
}

base::Result<const KindInfo*> resolve_kind(std::string_view name) {
  if (const KindInfo* kind = find_kind(name)) return kind;
  if (const UnservedKind* kind = find_unserved(name)) return std::unexpected(not_served(*kind));
  return std::unexpected(no_such_kind(name, false));
}

base::Result<ObjectKind> resolve_object_kind(std::string_view api_version, std::string_view kind) {
  const auto info = std::ranges::find(kServed, kind, &KindInfo::kind);
  const auto slash = api_version.find('/');
  const std::string_view group =
      slash == std::string_view::npos ? "" : api_version.substr(0, slash);
  if (info == std::end(kServed)) {
    const auto known = std::ranges::find(kUnserved, kind, &UnservedKind::kind);
    if (known != std::end(kUnserved)) return std::unexpected(not_served(*known));
    // A kind of somebody else's group is not a slip of the pen.
    const bool foreign = group.contains('.') && !group.ends_with(".k8s.io");
    if (foreign) {
      return std::unexpected(base::with_hint(
          base::make_error(base::Errc::Unsupported,
                           fmt::format("kind {} of {} is not served by this version",
                                       kind.substr(0, 100), api_version.substr(0, 200))),
          fmt::format("kinds of your own cannot be added; this version serves {}", served_list())));
    }
    return std::unexpected(no_such_kind(kind, true));
  }
  if (api_version == info->api_version()) return ObjectKind{.info = &*info, .converted_from = {}};
  for (const OldVersion& old : kOldVersions) {
    if (old.api_version == api_version && old.kind == kind) {
      return ObjectKind{.info = &*info, .converted_from = std::string(api_version)};
    }
  }
  const bool right_group = group == info->group;
  return std::unexpected(base::with_hint(
      base::make_error(
          right_group ? base::Errc::Unsupported : base::Errc::InvalidArgument,
          fmt::format("kind {} has no version \"{}\"", kind, api_version.substr(0, 200))),
      fmt::format("use apiVersion: {}", info->api_version())));
}

}  // namespace nexus::manifest
