#include "runtime/images/layer_path.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace hypermesh {
namespace {

constexpr std::string_view kWhiteoutPrefix = ".wh.";
constexpr std::string_view kWhiteoutMetaPrefix = ".wh..wh.";
constexpr std::string_view kOpaqueMarker = ".wh..wh..opq";

std::unexpected<base::Error> bad(std::string_view path, std::string_view why) {
  return base::fail(
      base::Errc::InvalidArgument,
      fmt::format("the archive is refused: entry \"{}\" {}", path.substr(0, 300), why));
}

}  // namespace

std::string LayerPath::text() const {
  std::string out = fmt::format("{}", fmt::join(parents, "/"));
  if (!name.empty()) out += (out.empty() ? "" : "/") + name;
  return out.empty() ? "." : out;
}

base::Result<LayerPath> parse_layer_path(std::string_view path) {
  if (path.empty()) return bad(path, "has no name");
  if (path.size() > kLayerPathBytesMax)
    return bad(path, fmt::format("has a name of {} bytes; at most {} are allowed", path.size(),
                                 kLayerPathBytesMax));
  if (path.front() == '/') return bad(path, "has an absolute name");
  LayerPath out;
  std::string_view rest = path;
  while (!rest.empty()) {
    const auto slash = rest.find('/');
    const auto part = rest.substr(0, slash);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    if (part == "..") return bad(path, "has \"..\" in its name");
    if (part.size() > kLayerNameBytesMax)
      return bad(path, fmt::format("has a part of {} bytes; at most {} are allowed", part.size(),
                                   kLayerNameBytesMax));
    if (part.find('\0') != std::string_view::npos)
      return bad(path, "has a NUL character in its name");
    out.parents.emplace_back(part);
    if (out.parents.size() > kLayerPathDepthMax)
      return bad(path, fmt::format("lies deeper than {} folders", kLayerPathDepthMax));
  }
  if (out.parents.empty()) {
    out.kind = LayerPath::Kind::Root;
    return out;
  }
  std::string last = std::move(out.parents.back());
  out.parents.pop_back();
  for (const auto& parent : out.parents) {
    if (parent.starts_with(kWhiteoutMetaPrefix)) {  // ".wh..wh.plnk/..."
      out.kind = LayerPath::Kind::Ignored;
      return out;
    }
    if (parent.starts_with(kWhiteoutPrefix))
      return bad(path, "lies in a folder that is a whiteout");
  }
  if (last == kOpaqueMarker) {
    out.kind = LayerPath::Kind::Opaque;
  } else if (last.starts_with(kWhiteoutMetaPrefix)) {
    out.kind = LayerPath::Kind::Ignored;
  } else if (last.starts_with(kWhiteoutPrefix)) {
    out.kind = LayerPath::Kind::Whiteout;
    out.name = last.substr(kWhiteoutPrefix.size());
    if (out.name.empty() || out.name == "." || out.name == "..")
      return bad(path, "is a whiteout of nothing");
  } else {
    out.name = std::move(last);
  }
  return out;
}

base::Result<> check_symlink_target(std::string_view link, std::size_t depth,
                                    std::string_view target) {
  if (target.empty()) return bad(link, "is a symbolic link to nothing");
  if (target.size() >= kLayerPathBytesMax)
    return bad(link,
               fmt::format("is a symbolic link with a target of {} bytes; at most {} are allowed",
                           target.size(), kLayerPathBytesMax - 1));
  if (target.front() == '/') return {};
  std::string_view rest = target;
  while (!rest.empty()) {
    const auto slash = rest.find('/');
    const auto part = rest.substr(0, slash);
    rest.remove_prefix(slash == std::string_view::npos ? rest.size() : slash + 1);
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      ++depth;
    } else if (depth-- == 0) {
      return bad(link, fmt::format("is a symbolic link out of the image's root: \"{}\"",
                                   target.substr(0, 300)));
    }
  }
  return {};
}

}  // namespace hypermesh
