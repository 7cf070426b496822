#pragma once

// A registry with a script: serves images that were added, and lets a test answer any request
// otherwise.

#include <optional>

#include "runtime/images/layout_documents.hpp"
#include "runtime/images/manifest.hpp"
#include "runtime/images/testing/http_server.hpp"

namespace hypermesh::testing {

class FakeRegistry {
 public:
  /// Answers instead of the registry, unless it gives nothing.
  using Script = std::function<std::optional<Reply>(const ServedRequest&)>;

  explicit FakeRegistry(bool ipv6 = false)
      : server_([this](const ServedRequest& request) { return answer(request); }, ipv6) {}

  std::string authority() const { return server_.authority(); }
  std::uint16_t port() const { return server_.port(); }
  std::vector<ServedRequest> requests() const { return server_.requests(); }
  std::size_t count(const std::string& method, const std::string& part_of_path) const {
    const auto all = requests();
    return std::size_t(std::ranges::count_if(all, [&](const auto& r) {
      return r.method == method && r.path.find(part_of_path) != std::string::npos;
    }));
  }
  void set_script(Script script) {
    const std::lock_guard lock(mutex_);
    script_ = std::move(script);
  }

  Descriptor add_blob(std::string_view type, const std::string& bytes) {
    const std::lock_guard lock(mutex_);
    Descriptor out{
        .media_type = std::string(type), .digest = digest_of(bytes), .size = bytes.size()};
    blobs_[out.digest.text()] = bytes;
    return out;
  }
  Descriptor add_manifest(std::string_view type, const std::string& bytes,
                          const std::string& tag = "") {
    const std::lock_guard lock(mutex_);
    Descriptor out{
        .media_type = std::string(type), .digest = digest_of(bytes), .size = bytes.size()};
    manifests_[out.digest.text()] = {std::string(type), bytes};
    if (!tag.empty()) manifests_[tag] = {std::string(type), bytes};
    return out;
  }
  /// An image of layers given as (media type, compressed bytes, uncompressed bytes).
  struct Layer {
    std::string_view type;
    std::string blob, tar;
  };
  Descriptor add_image(const std::vector<Layer>& layers, const std::string& tag,
                       const std::string& run = R"({"Cmd":["/x"]})") {
    std::vector<Descriptor> descriptors;
    std::string diff_ids;
    for (const auto& layer : layers) {
      descriptors.push_back(add_blob(layer.type, layer.blob));
      diff_ids += fmt::format("{}\"{}\"", diff_ids.empty() ? "" : ",", digest_of(layer.tar).text());
    }
    const std::string config = fmt::format(
        R"({{"os":"linux","architecture":"amd64","config":{},"rootfs":{{"type":"layers","diff_ids":[{}]}}}})",
        run, diff_ids);
    const Descriptor config_descriptor = add_blob(media_type::kOciConfig, config);
    return add_manifest(media_type::kOciManifest, make_oci_manifest(config_descriptor, descriptors),
                        tag);
  }

 private:
  Reply answer(const ServedRequest& request) {
    const std::lock_guard lock(mutex_);
    if (script_) {
      if (auto scripted = script_(request)) return *std::move(scripted);
    }
    if (const auto at = request.path.find("/manifests/"); at != std::string::npos) {
      const auto it = manifests_.find(request.path.substr(at + 11));
      if (it != manifests_.end()) {
        return {.body = it->second.second,
                .headers = {{"Content-Type", it->second.first},
                            {"Docker-Content-Digest", digest_of(it->second.second).text()}}};
      }
    }
    if (const auto at = request.path.find("/blobs/"); at != std::string::npos) {
      if (const auto it = blobs_.find(request.path.substr(at + 7)); it != blobs_.end())
        return ranged(request, it->second);
    }
    return {.status = 404, .body = R"({"errors":[{"code":"UNKNOWN","message":"not here"}]})"};
  }
  static Reply ranged(const ServedRequest& request, const std::string& blob) {
    const std::string range = request.header("range");
    if (!range.starts_with("bytes=")) return {.body = blob};
    const std::size_t from = std::stoul(range.substr(6));
    if (from >= blob.size()) return {.status = 416};
    return {.status = 206,
            .body = blob.substr(from),
            .headers = {{"Content-Range",
                         fmt::format("bytes {}-{}/{}", from, blob.size() - 1, blob.size())}}};
  }

  std::mutex mutex_;
  Script script_;  // Guarded by mutex_, as all below.
  std::map<std::string, std::string> blobs_;
  std::map<std::string, std::pair<std::string, std::string>> manifests_;
  HttpServer server_;
};

}  // namespace hypermesh::testing
