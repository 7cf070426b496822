#include "manifest/patch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

namespace nexus::manifest {

namespace {

using base::Errc;

/// Levels of containers; a scalar has none.
std::size_t depth_of(const Json& value) {
  std::size_t deepest = 0;
  if (!value.is_structured()) return 0;
  for (const Json& child : value) deepest = std::max(deepest, depth_of(child));
  return deepest + 1;
}

/// About what the value takes as text.
std::size_t bytes_of(const Json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().size() + 2;
  std::size_t bytes = 8;
  if (value.is_object()) {
    for (const auto& member : value.items())
      bytes += member.key().size() + 3 + bytes_of(member.value());
  } else if (value.is_array()) {
    for (const Json& child : value) bytes += 1 + bytes_of(child);
  }
  return bytes;
}

base::Result<Json> bounded(Json result) {
  if (depth_of(result) > kPatchDepthMax) {
    return base::fail(
        Errc::ResourceExhausted,
        fmt::format("the patched object is nested deeper than {} levels", kPatchDepthMax));
  }
  return result;
}

std::string_view text_member(const Json& object, const char* key) {
  const auto member = object.find(key);
  return member != object.end() && member->is_string()
             ? std::string_view(member->get_ref<const std::string&>())
             : std::string_view();
}

/// nlohmann's text without its tag: "[json.exception.out_of_range.403] key 'x' not found".
std::string reason_of(const std::exception& problem) {
  std::string text = problem.what();
  const std::size_t end = text.find("] ");
  return end == std::string::npos ? text : text.substr(end + 2);
}

/// One operation; `copied` counts what copies and moves have carried so far.
base::Result<> apply_operation(Json& document, const Json& operation, std::size_t& copied) {
  if (!operation.is_object() || !operation.contains("op") || !operation.contains("path")) {
    return base::fail(Errc::InvalidArgument, "an operation needs op and path");
  }
  const std::string op(text_member(operation, "op"));
  const std::string path(text_member(operation, "path"));
  try {
    // "" is the whole document, each "/" one level further down.
    std::size_t depth = static_cast<std::size_t>(std::ranges::count(path, '/'));
    if (op == "copy" || op == "move") {
      const Json& source = std::as_const(document).at(
          Json::json_pointer(std::string(text_member(operation, "from"))));
      depth += depth_of(source);
      // What is moved is copied on its way.
      copied += bytes_of(source);
    } else if (operation.contains("value")) {
      depth += depth_of(operation["value"]);
    }
    if (depth > kPatchDepthMax || copied > kPatchCopyBytesMax) {
      return base::fail(
          Errc::ResourceExhausted,
          fmt::format("{} {}: the patched object would be too large or too deep", op, path));
    }
    document.patch_inplace(Json::array({operation}));
  } catch (const Json::other_error& problem) {
    return base::fail(Errc::Conflict, fmt::format("test {}: the value is another one", path));
  } catch (const Json::exception& problem) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("{} {}: {}", op, path, reason_of(problem)));
  }
  return {};
}

}  // namespace

base::Result<Json> merge_patch(Json target, const Json& patch) {
  if (depth_of(patch) > kPatchDepthMax) {
    return base::fail(Errc::ResourceExhausted,
                      fmt::format("the patch is nested deeper than {} levels", kPatchDepthMax));
  }
  target.merge_patch(patch);
  return bounded(std::move(target));
}

base::Result<Json> json_patch(Json target, const Json& operations) {
  if (!operations.is_array())
    return base::fail(Errc::InvalidArgument, "a JSON patch is a list of operations");
  if (operations.size() > kPatchOperationsMax) {
    return base::fail(Errc::ResourceExhausted,
                      fmt::format("the patch has {} operations; at most {}", operations.size(),
                                  kPatchOperationsMax));
  }
  std::size_t copied = 0;
  for (const Json& operation : operations) TRY_DO(apply_operation(target, operation, copied));
  return target;
}

}  // namespace nexus::manifest
