#include "objects/object.hpp"

#include <fmt/format.h>

namespace nexus {
namespace {

constexpr std::size_t kNameBytesMax = 253;  // Kubernetes' limit of names (RFC 1123 subdomain).

base::Result<std::string> text_member(const Json& parent, const char* key, const std::string& path,
                                      bool required) {
  const auto found = parent.is_object() ? parent.find(key) : parent.end();
  if (!parent.is_object() || found == parent.end() || found->is_null()) {
    if (!required) return std::string();
    return base::fail(base::Errc::InvalidArgument, path + " is missing");
  }
  if (!found->is_string()) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{} is {}; must be a string", path, found->type_name()));
  }
  auto text = found->get<std::string>();
  if (required && text.empty()) return base::fail(base::Errc::InvalidArgument, path + " is empty");
  if (text.size() > kNameBytesMax) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("{} has {} characters; at most {} are allowed", path, text.size(),
                                  kNameBytesMax));
  }
  for (const char c : text) {
    // '/' separates the parts of a key.
    if (c == '/' || static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) {
      return base::fail(
          base::Errc::InvalidArgument,
          fmt::format("{} is \"{}\"; no '/', space or control character is allowed", path, text));
    }
  }
  return text;
}

}  // namespace

std::string to_string(const ObjectRef& ref) {
  std::string text = ref.kind;
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text + "/" + ref.name;
}

base::Result<ObjectRef> ref_of(const Json& json) {
  if (!json.is_object()) {
    return base::fail(base::Errc::InvalidArgument,
                      fmt::format("an object is {}; must be a JSON object", json.type_name()));
  }
  ObjectRef ref;
  TRY(ref.kind, text_member(json, "kind", "kind", true));
  const auto metadata = json.find("metadata");
  const Json none = Json::object();
  const Json& from = metadata == json.end() ? none : *metadata;
  TRY(ref.name, text_member(from, "name", "metadata.name", true));
  TRY(ref.name_space, text_member(from, "namespace", "metadata.namespace", false));
  return ref;
}

}  // namespace nexus
