#pragma once

// Names of images, as people write them: [registry[:port]/]repository[:tag][@digest].
// Grammar: distribution's reference package; short names are completed as Docker completes them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/images/digest.hpp"

namespace hypermesh {

/// A complete name. Two names of the same image compare equal after parsing.
struct ImageReference {
  std::string registry;    ///< "docker.io", "127.0.0.1:5000", "[::1]:5000"; lower case.
  std::string repository;  ///< "library/nginx"
  std::string tag;         ///< Empty only when a digest stands for it.
  std::optional<ContentDigest> digest;

  bool operator==(const ImageReference&) const = default;
  /// "docker.io/library/nginx"
  std::string name() const { return registry + "/" + repository; }
  /// "docker.io/library/nginx:1.27", with "@sha256:..." when there is a digest. Parses to an equal
  /// value.
  std::string text() const;
  /// "docker.io/library/nginx@sha256:...": what is put in place of a tag once it is resolved.
  std::string pinned(const ContentDigest& to) const { return name() + "@" + to.text(); }
  /// What a registry is asked for: the digest if there is one, else the tag.
  std::string target() const { return digest ? digest->text() : tag; }
};

/// Errors: InvalidArgument, with what is wrong and what is allowed.
base::Result<ImageReference> parse_reference(std::string_view text);

/// Where a registry is reached.
struct RegistryAddress {
  std::string host;        ///< Without brackets: "registry-1.docker.io", "::1".
  std::uint16_t port = 0;  ///< 0: the scheme's own.
  bool ipv6_literal = false;
  bool loopback = false;  ///< 127.0.0.0/8, ::1 or localhost: may be reached without TLS.

  bool operator==(const RegistryAddress&) const = default;
  /// "[::1]:5000", "example.org": as in a URL.
  std::string authority() const;
};
/// `registry` of a parsed reference. Docker Hub's API lives on a host of another name.
base::Result<RegistryAddress> registry_address(std::string_view registry);
/// `host` without brackets. Only the literals and "localhost" itself: no name that DNS could point
/// elsewhere.
bool is_loopback_host(std::string_view host);

}  // namespace hypermesh
