#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "manifest/formats.hpp"
#include "manifest/rules.hpp"

namespace nexus::manifest {

namespace {

constexpr std::size_t kNameserversMax = 3, kSearchesMax = 32, kSearchBytesMax = 2048;

constexpr std::initializer_list<std::string_view> kVolumeSources = {"emptyDir",
                                                                    "hostPath",
                                                                    "configMap",
                                                                    "secret",
                                                                    "projected",
                                                                    "downwardAPI",
                                                                    "persistentVolumeClaim",
                                                                    "awsElasticBlockStore",
                                                                    "azureDisk",
                                                                    "azureFile",
                                                                    "cephfs",
                                                                    "cinder",
                                                                    "csi",
                                                                    "ephemeral",
                                                                    "fc",
                                                                    "flexVolume",
                                                                    "flocker",
                                                                    "gcePersistentDisk",
                                                                    "glusterfs",
                                                                    "iscsi",
                                                                    "nfs",
                                                                    "photonPersistentDisk",
                                                                    "portworxVolume",
                                                                    "quobyte",
                                                                    "rbd",
                                                                    "scaleIO",
                                                                    "storageos",
                                                                    "vsphereVolume",
                                                                    "gitRepo",
                                                                    "image"};

void check_restart_policy(const View& policy, PodUse use, Report& report) {
  if (!policy.is_string()) return;
  if (use == PodUse::ReplicaTemplate && policy.text() != "Always") {
    report.error(policy.path(), Reason::NotInEnum,
                 fmt::format("is \"{}\"; must be Always here", policy.text()),
                 {"use a Job for pods that end"});
  }
  if (use == PodUse::JobTemplate && policy.text() == "Always") {
    report.error(policy.path(), Reason::NotInEnum, "must be OnFailure or Never in a Job",
                 {"set restartPolicy: Never to keep failed pods, OnFailure to restart containers"});
  }
}

void check_dns(const View& spec, Report& report) {
  const View config = spec["dnsConfig"];
  const auto servers = config["nameservers"];
  if (spec["dnsPolicy"].text() == "None" && servers.size() == 0) {
    report.required(servers, "is required with dnsPolicy: None");
  }
  if (servers.size() > kNameserversMax) {
    report.error(servers.path(), Reason::TooMany,
                 fmt::format("has {} elements; at most {}", servers.size(), kNameserversMax));
  }
  const auto searches = config["searches"];
  std::size_t bytes = 0;
  for (const View& search : searches.items()) {
    bytes += search.text().size() + 1;
    std::string_view domain = search.text();
    if (domain == ".") continue;
    if (domain.ends_with('.')) domain.remove_suffix(1);
    // Underscores are allowed here, as in Kubernetes.
    std::string plain(domain);
    std::ranges::replace(plain, '_', '-');
    if (const auto wrong = check_dns_subdomain(plain); wrong && search.is_string()) {
      report.invalid(search, fmt::format("is \"{}\"; {}", domain.substr(0, 80), *wrong));
    }
  }
  if (searches.size() > kSearchesMax || bytes > kSearchBytesMax) {
    report.error(searches.path(), Reason::TooMany,
                 fmt::format("has {} domains of {} bytes; at most {} of {}", searches.size(), bytes,
                             kSearchesMax, kSearchBytesMax));
  }
}

void check_files(const View& items, const PodNames& names, Report& report) {
  for (const View& item : items.items()) {
    check_exactly_one(item, {"fieldRef", "resourceFieldRef"}, report, "a source");
    check_field_ref(item["fieldRef"], report);
    check_resource_ref(item["resourceFieldRef"], names, /*needs_name=*/true, report);
  }
}

/// Two sources of a projected volume may not write one file.
void check_projected(const View& projected, const PodNames& names, Report& report) {
  std::set<std::string_view> paths;
  for (const View& source : projected["sources"].items()) {
    check_exactly_one(source,
                      {"configMap", "secret", "downwardAPI", "serviceAccountToken",
                       "clusterTrustBundle", "podCertificate"},
                      report, "a source");
    check_files(source["downwardAPI"]["items"], names, report);
    for (std::string_view kind : {"configMap", "secret", "downwardAPI"}) {
      for (const View& item : source[kind]["items"].items()) {
        const View path = item["path"];
        if (!path.text().empty() && !paths.insert(path.text()).second) {
          report.invalid(path,
                         fmt::format("is \"{}\", which another source writes too", path.text()));
        }
      }
    }
  }
}

/// The node has each port once.
void check_host_ports(const std::vector<View>& containers, Report& report) {
  std::set<std::pair<std::int64_t, std::string_view>> taken;
  for (const View& container : containers) {
    for (const View& port : container["ports"].items()) {
      const auto on_host = port["hostPort"].integer();
      if (on_host && !taken.emplace(*on_host, port["protocol"].text("TCP")).second) {
        report.error(port["hostPort"].path(), Reason::Duplicate,
                     fmt::format("is used twice: {}", *on_host));
      }
    }
  }
}

}  // namespace

void check_volume(const View& volume, const PodNames& names, Report& report) {
  check_exactly_one(volume, kVolumeSources, report, "a source");
  const View folder = volume["emptyDir"];
  if (const auto limit = folder["sizeLimit"].amount()) {
    if (limit->is_negative()) report.invalid(folder["sizeLimit"], "must not be negative");
    if (folder["medium"].text() != "Memory") {
      report.note(folder["sizeLimit"].path(), "has no effect: only folders in memory are limited",
                  {"set medium: Memory"});
    }
  }
  const View on_node = volume["hostPath"]["path"];
  if (const auto wrong = check_no_parent(on_node.text())) report.invalid(on_node, *wrong);
  check_files(volume["downwardAPI"]["items"], names, report);
  check_projected(volume["projected"], names, report);
}

void check_pod_spec(const View& spec, PodUse use, Report& report) {
  if (!spec.is_object()) return;
  check_restart_policy(spec["restartPolicy"], use, report);
  check_dns(spec, report);
  const auto containers = spec["containers"].items(),
             init_containers = spec["initContainers"].items();
  const auto volumes = spec["volumes"].items();
  PodNames names{.volumes = {}, .containers = {}, .host_network = spec["hostNetwork"].truth()};
  for (const View& volume : volumes) names.volumes.insert(volume["name"].text());
  for (const View& container : containers) names.containers.insert(container["name"].text());
  const auto of_containers = names.containers;
  for (const View& container : init_containers) {
    const View name = container["name"];
    // Within one list the structural check has looked.
    if (!name.text().empty() && of_containers.contains(name.text())) {
      report.error(name.path(), Reason::Duplicate, fmt::format("is used twice: {}", name.text()));
    }
    names.containers.insert(name.text());
  }
  check_host_ports(containers, report);
  for (const View& volume : volumes) check_volume(volume, names, report);
  for (const View& container : containers)
    check_container(container, names, /*is_init=*/false, report);
  for (const View& container : init_containers)
    check_container(container, names, /*is_init=*/true, report);
  if (spec["hostUsers"].present() && !spec["hostUsers"].truth(true) &&
      spec["hostNetwork"].truth()) {
    report.forbidden(spec["hostUsers"], "must not be false with hostNetwork: true");
  }
  if (const View account = spec["serviceAccount"];
      account.is_string() && account.text() != spec["serviceAccountName"].text()) {
    report.invalid(account, "must be equal to serviceAccountName");
  }
}

}  // namespace nexus::manifest
