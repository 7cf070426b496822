#pragma once

// What the names in a layer's archive may be (OCI image spec, layer.md). Lexical checks only: the
// unpacker also resolves every name beneath the layer's folder, whatever links the archive makes.

#include <base/error.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace hypermesh {

inline constexpr std::size_t kLayerPathBytesMax = 4096;
inline constexpr std::size_t kLayerNameBytesMax = 255;
inline constexpr std::size_t kLayerPathDepthMax = 256;

struct LayerPath {
  enum class Kind : std::uint8_t {
    Root,  ///< "./": the layer's own top folder.
    Plain,
    Whiteout,  ///< ".wh.NAME": hides `name` of the layers below.
    Opaque,    ///< ".wh..wh..opq": hides everything of `parents` below.
    Ignored,   ///< Other ".wh..wh." names are aufs' own bookkeeping.
  };
  Kind kind = Kind::Plain;
  std::vector<std::string> parents;  ///< Folders from the top.
  std::string name;  ///< Last part; of a whiteout, what it hides. Empty for Root and Opaque.

  std::string text() const;
};

/// Errors: InvalidArgument (absolute, "..", empty, too long or too deep).
base::Result<LayerPath> parse_layer_path(std::string_view path);

/// A symbolic link's target: relative ones must stay in the tree, counted from the link's own
/// folder, which lies `depth` folders below the top. Absolute ones mean the container's root.
/// Errors: InvalidArgument.
base::Result<> check_symlink_target(std::string_view link, std::size_t depth,
                                    std::string_view target);

}  // namespace hypermesh
