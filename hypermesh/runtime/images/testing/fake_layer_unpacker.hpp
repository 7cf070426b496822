#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "runtime/images/image_config.hpp"
#include "runtime/images/layer_unpacker.hpp"

namespace hypermesh::testing {

/// Remembers what it was asked for instead of unpacking.
class FakeLayerUnpacker final : public LayerUnpacker {
 public:
  base::Task<base::Result<LayerRecord>> unpack(UnpackRequest request) override {
    requests.push_back(request);
    if (failure) co_return std::unexpected(*failure);
    if (!std::filesystem::exists(request.blob_path))
      co_return base::fail(base::Errc::NotFound, "no blob at " + request.blob_path);
    std::vector<ContentDigest> stack;
    for (const auto& parent : request.parents) stack.push_back(layers.at(parent).diff_id);
    stack.push_back(request.diff_id);
    const LayerId id{uses_parents ? chain_ids(stack).back() : request.diff_id};
    layers[id] = {.id = id,
                  .diff_id = request.diff_id,
                  .used_parents = uses_parents,
                  .file_bytes = 10,
                  .entries = 1,
                  .notes = {}};
    co_return layers[id];
  }
  base::Task<base::Result<std::vector<LayerRecord>>> list() override {
    std::vector<LayerRecord> out;
    for (const auto& [id, record] : layers) out.push_back(record);
    co_return out;
  }
  base::Task<base::Result<std::uint64_t>> remove(LayerId id) override {
    if (mounted.contains(id)) co_return base::fail(base::Errc::FailedPrecondition, "mounted");
    const bool had = layers.erase(id) > 0;
    co_return had ? 10u : 0u;
  }

  std::map<LayerId, LayerRecord> layers;
  std::set<LayerId> mounted;
  std::vector<UnpackRequest> requests;
  std::optional<base::Error> failure;
  bool uses_parents = false;
};

}  // namespace hypermesh::testing
