#pragma once

// The forms of names that Kubernetes allows. Each check answers what is wrong, as the end of a
// sentence that begins with the value ("must be ..."), or nothing.

#include <optional>
#include <string>
#include <string_view>

namespace nexus::manifest {

using Complaint = std::optional<std::string>;

Complaint check_dns_label(std::string_view text);  ///< RFC 1123 label, at most 63.
Complaint check_dns_1035_label(
    std::string_view text);  ///< As above, beginning with a letter: Services.
Complaint check_dns_subdomain(std::string_view text);  ///< RFC 1123 subdomain, at most 253.
Complaint check_label_key(std::string_view text);      ///< [prefix/]name: labels and annotations.
Complaint check_label_value(std::string_view text);    ///< At most 63, may be empty.
Complaint check_port_name(std::string_view text);      ///< IANA service name, at most 15.
Complaint check_config_key(std::string_view text);     ///< Key of a ConfigMap or Secret.
Complaint check_env_name(std::string_view text);       ///< Printable ASCII without "=".
Complaint check_env_prefix(std::string_view text);     ///< envFrom.prefix.
Complaint check_resource_name(std::string_view text);  ///< "cpu", "memory", "example.com/thing".
Complaint check_ip(std::string_view text);             ///< IPv4 or IPv6 literal.
Complaint check_absolute_path(std::string_view text);
Complaint check_relative_path(std::string_view text);  ///< No "..", not absolute.
Complaint check_no_parent(std::string_view text);      ///< A path without "..".
Complaint check_image(std::string_view text);          ///< Reference of an image.
Complaint check_quantity(std::string_view text);
Complaint check_base64(std::string_view text);     ///< RFC 4648, padded; line breaks allowed.
Complaint check_timestamp(std::string_view text);  ///< RFC 3339.

/// Is an IPv6 literal (false: IPv4 or none).
bool is_ipv6(std::string_view text);
bool is_ipv4(std::string_view text);

}  // namespace nexus::manifest
