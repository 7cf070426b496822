#pragma once

#include <string_view>

extern "C" const char hypermesh_demo_image_begin[];
extern "C" const char hypermesh_demo_image_end[];

namespace apps {

/// Name of the bundled image; its registry does not exist, so it is never looked for outside.
inline constexpr std::string_view kDemoImageReference = "hypermesh.invalid/demo:1";

/// The demonstration image: an OCI layout archive.
inline std::string_view demo_image() {
  return {hypermesh_demo_image_begin,
          static_cast<std::size_t>(hypermesh_demo_image_end - hypermesh_demo_image_begin)};
}

}  // namespace apps
