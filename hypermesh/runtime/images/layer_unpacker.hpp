#pragma once

#include <base/async/task.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/images/unpack_report.hpp"

namespace hypermesh {

struct UnpackRequest {
  std::string blob_path;         ///< Of the compressed layer, absolute, as this process sees it.
  ContentDigest blob;            ///< Its name; the file's content was verified when it was stored.
  ContentDigest diff_id;         ///< What the uncompressed archive must hash to.
  std::vector<LayerId> parents;  ///< The layers below, bottom first.
};

/// Turns layers of images into folders that overlay mounts share. The work needs rights that the
/// daemon does not have, so the keeper does it (LayerStore, in a sandboxed process for each layer).
///
/// Calls are made on one executor; none blocks it. Implementations: the keeper's client;
/// LocalLayerUnpacker (tests and tools that run as root).
class LayerUnpacker {
 public:
  virtual ~LayerUnpacker() = default;

  /// Makes the layer's folder, or finds it. Afterwards it is whole and on disk.
  /// Errors: InvalidArgument (the archive is refused), NotVerified (diff id), ResourceExhausted
  /// (disk or a
  ///         limit), NotFound (a parent).
  virtual base::Task<base::Result<LayerRecord>> unpack(UnpackRequest request) = 0;
  /// Every whole layer.
  virtual base::Task<base::Result<std::vector<LayerRecord>>> list() = 0;
  /// Removes a layer; answers the bytes of its files. Not an error when there is none.
  /// Errors: FailedPrecondition (a container's root is mounted from it).
  virtual base::Task<base::Result<std::uint64_t>> remove(LayerId id) = 0;
};

}  // namespace hypermesh
