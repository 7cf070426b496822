#include "manifest/schema_types.hpp"

namespace nexus::manifest {

namespace {

// --- Resources ---

constexpr Field kResourceRequirementsFields[] = {
    map("requests", Type::Quantity, "What is set aside: cpu in cores, memory in bytes.")
        .keys(Format::ResourceName),
    map("limits", Type::Quantity,
        "What is never exceeded: cpu is slowed down, memory ends the process.")
        .keys(Format::ResourceName),
    list("claims", Type::Any, "Devices of dynamic resource allocation.")
        .refused("devices cannot be claimed"),
};

// --- Environment ---

constexpr Field kKeySelectorFields[] = {
    text("name", "Name of the ConfigMap or Secret.").required().form(Format::DnsSubdomain),
    text("key", "Key in it.").required().form(Format::ConfigKey),
    flag("optional",
         "The container starts without the variable when there is no such object or key."),
};
constinit const ObjectType kConfigMapKeySelector{"io.k8s.api.core.v1.ConfigMapKeySelector",
                                                 "One key of a ConfigMap.", kKeySelectorFields};
constinit const ObjectType kSecretKeySelector{"io.k8s.api.core.v1.SecretKeySelector",
                                              "One key of a Secret.", kKeySelectorFields};

constexpr Field kObjectFieldSelectorFields[] = {
    text("apiVersion", "Version the path is written in.").or_else(R"("v1")"),
    text("fieldPath",
         "Field of the pod, such as metadata.name, metadata.labels['app'] or status.podIP.")
        .required()
        .form(Format::NotEmpty),
};
constexpr std::string_view kContainerResources[] = {"limits.cpu", "limits.memory", "requests.cpu",
                                                    "requests.memory"};
constexpr std::string_view kUnservedResources[] = {"limits.ephemeral-storage",
                                                   "requests.ephemeral-storage"};
constexpr Field kResourceFieldSelectorFields[] = {
    text("containerName", "Whose resource; in an environment, of the container itself.")
        .form(Format::DnsLabel),
    text("resource", "Which resource.")
        .required()
        .one_of(kContainerResources)
        .but_not(kUnservedResources, "local storage is not limited; use cpu or memory"),
    quantity("divisor", "Unit of the value; 1 when not given.").or_else(R"("0")"),
};

constexpr Field kEnvVarSourceFields[] = {
    object("fieldRef", kObjectFieldSelector, "A field of the pod."),
    object("resourceFieldRef", kResourceFieldSelector, "A request or limit of a container."),
    object("configMapKeyRef", kConfigMapKeySelector, "A key of a ConfigMap."),
    object("secretKeyRef", kSecretKeySelector, "A key of a Secret."),
    any("fileKeyRef", "A key in a file of a volume.")
        .refused("use configMapKeyRef or secretKeyRef"),
};
constinit const ObjectType kEnvVarSource{"io.k8s.api.core.v1.EnvVarSource",
                                         "Where a value comes from; exactly one.",
                                         kEnvVarSourceFields};
constexpr Field kEnvVarFields[] = {
    text("name", "Name of the variable.").required().form(Format::EnvName),
    text("value", "Value; $(NAME) stands for an earlier variable, $$ for a dollar sign."),
    object("valueFrom", kEnvVarSource, "Where the value comes from, when there is no value."),
};
constinit const ObjectType kEnvVar{"io.k8s.api.core.v1.EnvVar", "A variable of the environment.",
                                   kEnvVarFields};

constexpr Field kEnvSourceFields[] = {
    text("name", "Name of the ConfigMap or Secret.").required().form(Format::DnsSubdomain),
    flag("optional", "The container starts without it when there is no such object."),
};
constinit const ObjectType kConfigMapEnvSource{"io.k8s.api.core.v1.ConfigMapEnvSource",
                                               "A whole ConfigMap.", kEnvSourceFields};
constinit const ObjectType kSecretEnvSource{"io.k8s.api.core.v1.SecretEnvSource", "A whole Secret.",
                                            kEnvSourceFields};
constexpr Field kEnvFromFields[] = {
    text("prefix", "Put before each name.").form(Format::EnvPrefix),
    object("configMapRef", kConfigMapEnvSource, "Every key of a ConfigMap becomes a variable."),
    object("secretRef", kSecretEnvSource, "Every key of a Secret becomes a variable."),
};
constinit const ObjectType kEnvFrom{"io.k8s.api.core.v1.EnvFromSource",
                                    "Variables from a whole object; exactly one.", kEnvFromFields};

// --- Handlers and probes ---

constexpr Field kExecActionFields[] = {
    list("command", Type::String,
         "Program and arguments, run in the container without a shell; exit 0 is success."),
};
constinit const ObjectType kExecAction{"io.k8s.api.core.v1.ExecAction", "Runs a command.",
                                       kExecActionFields};
constexpr Field kHttpHeaderFields[] = {
    text("name", "Name of the header.").required().form(Format::NotEmpty),
    text("value", "Value of the header.").required(),
};
constinit const ObjectType kHttpHeader{"io.k8s.api.core.v1.HTTPHeader", "A header of the request.",
                                       kHttpHeaderFields};
constexpr std::string_view kSchemes[] = {"HTTP", "HTTPS"};
constexpr Field kHttpGetFields[] = {
    text("path", "Path of the request.").or_else(R"("/")"),
    int_or_string("port", "Number or name of a port of the container.").required(),
    text("host",
         "Host to connect to; the pod itself when not given. Set the Host header in httpHeaders "
         "instead."),
    text("scheme", "HTTP, or HTTPS without checking the certificate.")
        .one_of(kSchemes)
        .or_else(R"("HTTP")"),
    list("httpHeaders", kHttpHeader, "Headers to send."),
};
constinit const ObjectType kHttpGet{"io.k8s.api.core.v1.HTTPGetAction",
                                    "Sends a GET; 200 to 399 is success.", kHttpGetFields};
constexpr Field kTcpSocketFields[] = {
    int_or_string("port", "Number or name of a port of the container.").required(),
    text("host", "Host to connect to; the pod itself when not given."),
};
constinit const ObjectType kTcpSocket{"io.k8s.api.core.v1.TCPSocketAction",
                                      "Connects; an open connection is success.", kTcpSocketFields};
constexpr Field kSleepFields[] = {int64("seconds", "How long.").required().between(0, 2147483647)};
constinit const ObjectType kSleep{"io.k8s.api.core.v1.SleepAction", "Waits.", kSleepFields};

constexpr Field kProbeFields[] = {
    object("exec", kExecAction, "Runs a command in the container."),
    object("httpGet", kHttpGet, "Sends an HTTP request."),
    object("tcpSocket", kTcpSocket, "Opens a connection."),
    any("grpc", "Asks the gRPC health service.")
        .refused("use tcpSocket with the same port, or exec with a health client of the image"),
    int32("initialDelaySeconds", "Wait this long after the start before the first try.")
        .at_least(0),
    int32("timeoutSeconds", "A try that takes longer has failed.").at_least(1).or_else("1"),
    int32("periodSeconds", "Time between tries.").at_least(1).or_else("10"),
    int32("successThreshold",
          "This many in a row make a failed probe good again; 1 for liveness and startup.")
        .at_least(1)
        .or_else("1"),
    int32("failureThreshold", "This many failures in a row count as failed.")
        .at_least(1)
        .or_else("3"),
    int64("terminationGracePeriodSeconds", "Time to end in after this probe failed.")
        .refused("set spec.terminationGracePeriodSeconds of the pod"),
};

constexpr Field kLifecycleHandlerFields[] = {
    object("exec", kExecAction, "Runs a command in the container."),
    object("httpGet", kHttpGet, "Sends an HTTP request."),
    object("sleep", kSleep, "Waits."),
    any("tcpSocket", "Has no effect in Kubernetes either.").refused("use exec or httpGet"),
};
constinit const ObjectType kLifecycleHandler{"io.k8s.api.core.v1.LifecycleHandler",
                                             "What to do; exactly one.", kLifecycleHandlerFields};
constexpr Field kLifecycleFields[] = {
    object("postStart", kLifecycleHandler, "Right after the start; a failure ends the container."),
    object("preStop", kLifecycleHandler, "Before the stop signal, within the grace period."),
    text("stopSignal", "Signal that ends the container.").refused("set STOPSIGNAL in the image"),
};
constinit const ObjectType kLifecycle{"io.k8s.api.core.v1.Lifecycle",
                                      "What happens around start and stop.", kLifecycleFields};

// --- Security ---

constexpr Field kCapabilitiesFields[] = {
    list("add", Type::String, "Capabilities to add, such as NET_BIND_SERVICE.")
        .form(Format::NotEmpty),
    list("drop", Type::String, "Capabilities to take away; ALL takes all.").form(Format::NotEmpty),
};
constinit const ObjectType kCapabilities{"io.k8s.api.core.v1.Capabilities",
                                         "Rights of root, one by one.", kCapabilitiesFields};
constexpr std::string_view kProfileTypes[] = {"RuntimeDefault", "Unconfined"};
constexpr std::string_view kLocalhost[] = {"Localhost"};
constexpr Field kSeccompFields[] = {
    text("type", "RuntimeDefault or Unconfined.")
        .required()
        .one_of(kProfileTypes)
        .but_not(kLocalhost, "profiles from files of the node are not read; use RuntimeDefault"),
    text("localhostProfile", "File of the profile.")
        .refused("profiles from files of the node are not read"),
};
constinit const ObjectType kSeccompProfile{"io.k8s.api.core.v1.SeccompProfile",
                                           "Which system calls are allowed.", kSeccompFields};
constexpr std::string_view kNoSelinux = "remove it: SELinux labels are not set";
constexpr std::string_view kNoAppArmor =
    "remove it: AppArmor profiles are not set; seccompProfile is honoured";
constexpr std::string_view kNoWindows = "remove it: there are no Windows nodes";

constexpr Field kSecurityContextFields[] = {
    int64("runAsUser", "User id of the first process; the image's when not given.")
        .between(0, 2147483647),
    int64("runAsGroup", "Group id of the first process.").between(0, 2147483647),
    flag("runAsNonRoot", "Refuse to start as user 0."),
    flag("readOnlyRootFilesystem", "The image's files cannot be changed."),
    flag("allowPrivilegeEscalation", "Whether set-user-id programs work."),
    flag("privileged", "As root on the node itself; needs permission."),
    object("capabilities", kCapabilities, "Rights of root to add and to take away."),
    object("seccompProfile", kSeccompProfile, "Which system calls are allowed."),
    text("procMount", "How /proc is masked.")
        .refused("remove it: /proc is always masked", R"("Default")"),
    any("seLinuxOptions", "SELinux label.").refused(kNoSelinux),
    any("appArmorProfile", "AppArmor profile.").refused(kNoAppArmor),
    any("windowsOptions", "For Windows.").refused(kNoWindows),
};

constexpr Field kSysctlFields[] = {
    text("name", "Name, such as net.core.somaxconn.").required().form(Format::NotEmpty),
    text("value", "Value.").required(),
};
constinit const ObjectType kSysctl{"io.k8s.api.core.v1.Sysctl", "A parameter of the kernel.",
                                   kSysctlFields};
constexpr Field kPodSecurityContextFields[] = {
    int64("runAsUser", "User id, where a container says nothing else.").between(0, 2147483647),
    int64("runAsGroup", "Group id, where a container says nothing else.").between(0, 2147483647),
    flag("runAsNonRoot", "Refuse to start as user 0."),
    int64("fsGroup", "Volumes belong to this group.").between(0, 2147483647),
    text("fsGroupChangePolicy", "When the group of files is set.")
        .no_effect("the group is set when a volume is made"),
    list("supplementalGroups", Type::Int64, "Further groups of the first process.")
        .between(0, 2147483647),
    text("supplementalGroupsPolicy", "Whether groups of the image count.")
        .refused("remove it: groups of the image count", R"("Merge")"),
    list("sysctls", kSysctl, "Parameters of the kernel in the pod's namespaces."),
    object("seccompProfile", kSeccompProfile, "Which system calls are allowed."),
    any("seLinuxOptions", "SELinux label.").refused(kNoSelinux),
    text("seLinuxChangePolicy", "How SELinux labels are set.").refused(kNoSelinux),
    any("appArmorProfile", "AppArmor profile.").refused(kNoAppArmor),
    any("windowsOptions", "For Windows.").refused(kNoWindows),
};

// --- Ports and mounts ---

constexpr Field kContainerPortFields[] = {
    text("name", "Name that Services and probes may use.").form(Format::PortName),
    int32("containerPort", "Port that the container listens on.").required().between(1, 65535),
    text("protocol", "Transport.").one_of(kProtocols).or_else(R"("TCP")"),
    int32("hostPort", "Port of the node's addresses that leads to the pod while it runs; 0: none.")
        .between(1, 65535),
    text("hostIP", "Address of the node.")
        .refused("remove it: a Service of type NodePort answers on all of them", R"("")"),
};
constinit const ObjectType kContainerPort{"io.k8s.api.core.v1.ContainerPort",
                                          "A port that a container listens on.",
                                          kContainerPortFields};
constexpr Field kVolumeMountFields[] = {
    text("name", "Name of a volume of the pod.").required().form(Format::NotEmpty),
    text("mountPath", "Where it appears in the container.").required().form(Format::AbsolutePath),
    text("subPath", "Only this folder or file of the volume.").form(Format::RelativePath),
    text("subPathExpr", "subPath with variables of the environment.").refused("use subPath"),
    flag("readOnly", "It cannot be written."),
    text("recursiveReadOnly", "Mounts below it cannot be written either.")
        .refused("remove it: readOnly covers the volume", R"("Disabled")"),
    text("mountPropagation", "Whether mounts are passed on.")
        .refused("remove it: mounts are not passed on", R"("None")"),
};
constinit const ObjectType kVolumeMount{"io.k8s.api.core.v1.VolumeMount",
                                        "A volume in a container.", kVolumeMountFields};

constexpr std::string_view kPullPolicies[] = {"Always", "IfNotPresent", "Never"};

constexpr Field kContainerFields[] = {
    text("name", "Name, unique in the pod.").required().form(Format::DnsLabel),
    text("image", "Image, such as nginx:1.27 or name@sha256:...").required().form(Format::Image),
    text("imagePullPolicy",
         "When to ask the registry: Always for :latest and no tag, else IfNotPresent.")
        .one_of(kPullPolicies),
    list("command", Type::String,
         "Program; the image's entrypoint when not given. $(NAME) is a variable."),
    list("args", Type::String, "Arguments; the image's when neither command nor args are given."),
    text("workingDir", "Folder to start in; the image's when not given."),
    list("ports", kContainerPort, "Ports that it listens on; for people, Services and probes.")
        .merged_by("containerPort"),
    list("env", kEnvVar, "Variables of the environment; the last of one name counts.")
        .merged_by("name"),
    list("envFrom", kEnvFrom, "Variables from ConfigMaps and Secrets; env goes before them."),
    object("resources", kResourceRequirements, "CPU and memory that it needs and may use.")
        .or_else("{}"),
    list("resizePolicy", Type::Any, "Whether a change of resources restarts it.")
        .no_effect("limits change without a restart"),
    list("volumeMounts", kVolumeMount, "Volumes and where they appear.").keyed("mountPath"),
    list("volumeDevices", Type::Any, "Block devices.")
        .refused("block devices are not offered; use volumeMounts"),
    object("livenessProbe", kProbe, "When it fails, the container is restarted."),
    object("readinessProbe", kProbe, "While it fails, Services and DNS leave the pod out."),
    object("startupProbe", kProbe, "Until it succeeds, the other probes wait."),
    object("lifecycle", kLifecycle, "What happens around start and stop."),
    object("securityContext", kContainerSecurityContext,
           "User, rights and limits on what it may do."),
    flag("stdin", "Its input stays open for attach."),
    flag("stdinOnce", "Its input ends with the first attach.").refused("use stdin", "false"),
    flag("tty", "It has a terminal; needs stdin."),
    text("restartPolicy", "Makes an init container run beside the others.")
        .refused("put the container into spec.containers"),
    list("restartPolicyRules", Type::Any, "Restarts by exit code.")
        .refused("set spec.restartPolicy of the pod"),
    text("terminationMessagePath", "File with last words.")
        .or_else(R"("/dev/termination-log")")
        .no_effect("the last lines of the log are shown (hm why)", R"("/dev/termination-log")"),
    text("terminationMessagePolicy", "Whether the log stands in for that file.")
        .or_else(R"("File")")
        .no_effect("the last lines of the log are shown (hm why)", R"("File")"),
};

}  // namespace

constinit const ObjectType kResourceRequirements{
    "io.k8s.api.core.v1.ResourceRequirements", "CPU and memory that a container needs and may use.",
    kResourceRequirementsFields};
constinit const ObjectType kObjectFieldSelector{"io.k8s.api.core.v1.ObjectFieldSelector",
                                                "A field of the pod.", kObjectFieldSelectorFields};
constinit const ObjectType kResourceFieldSelector{"io.k8s.api.core.v1.ResourceFieldSelector",
                                                  "A request or limit of a container.",
                                                  kResourceFieldSelectorFields};
constinit const ObjectType kProbe{"io.k8s.api.core.v1.Probe",
                                  "Asks a container how it is; exactly one way.", kProbeFields};
constinit const ObjectType kContainerSecurityContext{"io.k8s.api.core.v1.SecurityContext",
                                                     "User and rights of a container.",
                                                     kSecurityContextFields};
constinit const ObjectType kPodSecurityContext{"io.k8s.api.core.v1.PodSecurityContext",
                                               "User and rights of all containers of a pod.",
                                               kPodSecurityContextFields};
constinit const ObjectType kContainer{"io.k8s.api.core.v1.Container", "One container of a pod.",
                                      kContainerFields};

}  // namespace nexus::manifest
