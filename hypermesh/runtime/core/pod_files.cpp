#include "runtime/core/pod_files.hpp"

#include <fmt/format.h>

namespace hypermesh::keeper {

std::string pod_hostname(const nexus::PodSpec& pod) {
  std::string name = (pod.hostname.empty() ? pod.name : pod.hostname).substr(0, kHostNameBytesMax);
  while (name.ends_with('-') || name.ends_with('.')) name.pop_back();
  return name;
}

std::string hosts_file(const nexus::PodSpec& pod, const std::vector<std::string>& addresses) {
  std::string text =
      "127.0.0.1\tlocalhost\n"
      "::1\tlocalhost ip6-localhost ip6-loopback\n"
      "fe00::0\tip6-localnet\n"
      "ff02::1\tip6-allnodes\n"
      "ff02::2\tip6-allrouters\n";
  for (const std::string& address : addresses)
    text += fmt::format("{}\t{}\n", address, pod_hostname(pod));
  for (const auto& [address, name] : pod.host_aliases)
    text += fmt::format("{}\t{}\n", address, name);
  return text;
}

std::string resolver_file(const nexus::PodSpec& pod, const std::vector<std::string>& node_servers) {
  std::string text;
  for (const std::string& server : pod.dns_servers.empty() ? node_servers : pod.dns_servers) {
    text += fmt::format("nameserver {}\n", server);
  }
  if (!pod.dns_searches.empty())
    text += fmt::format("search {}\n", fmt::join(pod.dns_searches, " "));
  if (!pod.dns_options.empty())
    text += fmt::format("options {}\n", fmt::join(pod.dns_options, " "));
  return text;
}

}  // namespace hypermesh::keeper
