#include "manifest/schema_types.hpp"

namespace nexus::manifest {

namespace {

constexpr std::string_view kUseClaim =
    "use persistentVolumeClaim (a named volume of the node), or hostPath when the role allows it "
    "(hm help volumes)";

constexpr Field mode_field(std::string_view name, std::string_view description) {
  return int32(name, description).between(0, 0777);
}
constexpr std::string_view k0644 = "420";

constexpr Field kKeyToPathFields[] = {
    text("key", "Key of the ConfigMap or Secret.").required().form(Format::ConfigKey),
    text("path", "File that it becomes.").required().form(Format::RelativePath),
    mode_field("mode", "Permissions of the file, such as 0400; defaultMode when not given."),
};
constinit const ObjectType kKeyToPath{"io.k8s.api.core.v1.KeyToPath", "One key and its file.",
                                      kKeyToPathFields};

constexpr std::string_view kMedia[] = {"", "Memory"};
constexpr std::string_view kHugePages[] = {"HugePages", "HugePages-2Mi", "HugePages-1Gi"};
constexpr Field kEmptyDirFields[] = {
    text("medium", "Memory keeps it in memory; else it is on disk.")
        .one_of(kMedia)
        .but_not(kHugePages, "huge pages are not offered; use Memory"),
    quantity("sizeLimit", "Largest size of one in memory."),
};
constinit const ObjectType kEmptyDir{"io.k8s.api.core.v1.EmptyDirVolumeSource",
                                     "An empty folder as long as the pod.", kEmptyDirFields};

constexpr std::string_view kHostPathTypes[] = {"", "DirectoryOrCreate", "Directory", "FileOrCreate",
                                               "File"};
constexpr std::string_view kHostPathDevices[] = {"Socket", "CharDevice", "BlockDevice"};
constexpr Field kHostPathFields[] = {
    text("path", "Path on the node.").required().form(Format::AbsolutePath),
    text("type", "What must be there.")
        .one_of(kHostPathTypes)
        .but_not(kHostPathDevices, "leave type out: what is there is taken as it is")
        .or_else(R"("")"),
};
constinit const ObjectType kHostPath{"io.k8s.api.core.v1.HostPathVolumeSource",
                                     "A file or folder of the node; needs permission.",
                                     kHostPathFields};

constexpr Field kConfigMapVolumeFields[] = {
    text("name", "Name of the ConfigMap.").required().form(Format::DnsSubdomain),
    list("items", kKeyToPath, "Only these keys; all when not given."),
    mode_field("defaultMode", "Permissions of files, such as 0644.").or_else(k0644),
    flag("optional", "The pod starts without it when there is no such object."),
};
constinit const ObjectType kConfigMapVolume{"io.k8s.api.core.v1.ConfigMapVolumeSource",
                                            "Files made of a ConfigMap; they follow its changes.",
                                            kConfigMapVolumeFields};
constexpr Field kSecretVolumeFields[] = {
    text("secretName", "Name of the Secret.").required().form(Format::DnsSubdomain),
    list("items", kKeyToPath, "Only these keys; all when not given."),
    mode_field("defaultMode", "Permissions of files, such as 0400.").or_else(k0644),
    flag("optional", "The pod starts without it when there is no such object."),
};
constinit const ObjectType kSecretVolume{
    "io.k8s.api.core.v1.SecretVolumeSource",
    "Files made of a Secret, in memory; they follow its changes.", kSecretVolumeFields};

constexpr Field kDownwardFileFields[] = {
    text("path", "File.").required().form(Format::RelativePath),
    object("fieldRef", kObjectFieldSelector, "A field of the pod."),
    object("resourceFieldRef", kResourceFieldSelector, "A request or limit of a container."),
    mode_field("mode", "Permissions of the file."),
};
constinit const ObjectType kDownwardFile{"io.k8s.api.core.v1.DownwardAPIVolumeFile",
                                         "One file; exactly one source.", kDownwardFileFields};
constexpr Field kDownwardVolumeFields[] = {
    list("items", kDownwardFile, "Files."),
    mode_field("defaultMode", "Permissions of files.").or_else(k0644),
};
constinit const ObjectType kDownwardVolume{"io.k8s.api.core.v1.DownwardAPIVolumeSource",
                                           "Files about the pod itself.", kDownwardVolumeFields};

constexpr Field kProjectedKeysFields[] = {
    text("name", "Name of the ConfigMap or Secret.").required().form(Format::DnsSubdomain),
    list("items", kKeyToPath, "Only these keys; all when not given."),
    flag("optional", "Left out when there is no such object."),
};
constinit const ObjectType kConfigMapProjection{"io.k8s.api.core.v1.ConfigMapProjection",
                                                "Keys of a ConfigMap.", kProjectedKeysFields};
constinit const ObjectType kSecretProjection{"io.k8s.api.core.v1.SecretProjection",
                                             "Keys of a Secret.", kProjectedKeysFields};
constexpr Field kDownwardProjectionFields[] = {list("items", kDownwardFile, "Files.")};
constinit const ObjectType kDownwardProjection{"io.k8s.api.core.v1.DownwardAPIProjection",
                                               "Files about the pod.", kDownwardProjectionFields};
constexpr Field kProjectionFields[] = {
    object("configMap", kConfigMapProjection, "Keys of a ConfigMap."),
    object("secret", kSecretProjection, "Keys of a Secret."),
    object("downwardAPI", kDownwardProjection, "Files about the pod."),
    any("serviceAccountToken", "A token of the service account.")
        .refused("pods get no credentials of their own"),
    any("clusterTrustBundle", "Certificates to trust.").refused("put them into a ConfigMap"),
    any("podCertificate", "A certificate for the pod.").refused("put it into a Secret"),
};
constinit const ObjectType kProjection{"io.k8s.api.core.v1.VolumeProjection",
                                       "One source; exactly one.", kProjectionFields};
constexpr Field kProjectedVolumeFields[] = {
    list("sources", kProjection, "What is put together."),
    mode_field("defaultMode", "Permissions of files.").or_else(k0644),
};
constinit const ObjectType kProjectedVolume{"io.k8s.api.core.v1.ProjectedVolumeSource",
                                            "Several sources in one folder.",
                                            kProjectedVolumeFields};

constexpr Field kClaimFields[] = {
    text("claimName", "Name of the volume, one for the namespace.")
        .required()
        .form(Format::DnsSubdomain),
    flag("readOnly", "It cannot be written."),
};
constinit const ObjectType kClaim{
    "io.k8s.api.core.v1.PersistentVolumeClaimVolumeSource",
    "A named volume that outlives the pod; made on the node on first use.", kClaimFields};

constexpr Field foreign(std::string_view name) {
  return any(name, "Storage of another kind.").refused(kUseClaim);
}

constexpr Field kVolumeFields[] = {
    text("name", "Name, unique in the pod.").required().form(Format::DnsLabel),
    object("emptyDir", kEmptyDir, "An empty folder as long as the pod."),
    object("hostPath", kHostPath, "A file or folder of the node; needs permission."),
    object("configMap", kConfigMapVolume, "Files made of a ConfigMap."),
    object("secret", kSecretVolume, "Files made of a Secret."),
    object("projected", kProjectedVolume, "Several sources in one folder."),
    object("downwardAPI", kDownwardVolume, "Files about the pod itself."),
    object("persistentVolumeClaim", kClaim, "A named volume that outlives the pod."),
    foreign("awsElasticBlockStore"),
    foreign("azureDisk"),
    foreign("azureFile"),
    foreign("cephfs"),
    foreign("cinder"),
    foreign("csi"),
    foreign("ephemeral"),
    foreign("fc"),
    foreign("flexVolume"),
    foreign("flocker"),
    foreign("gcePersistentDisk"),
    foreign("glusterfs"),
    foreign("iscsi"),
    foreign("nfs"),
    foreign("photonPersistentDisk"),
    foreign("portworxVolume"),
    foreign("quobyte"),
    foreign("rbd"),
    foreign("scaleIO"),
    foreign("storageos"),
    foreign("vsphereVolume"),
    any("gitRepo", "Removed from Kubernetes.")
        .refused("clone in an init container into an emptyDir"),
    any("image", "Files of an image.").refused("copy them in an init container into an emptyDir"),
};

}  // namespace

constinit const ObjectType kVolume{"io.k8s.api.core.v1.Volume",
                                   "Storage of a pod; exactly one source.", kVolumeFields,
                                   /*retain_keys=*/true};

}  // namespace nexus::manifest
