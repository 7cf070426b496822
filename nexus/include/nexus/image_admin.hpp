#pragma once

#include <base/async/task.hpp>
#include <base/time.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace nexus {

struct ImageSummary {
  std::string id;  ///< "sha256:..." of the image configuration.
  std::vector<std::string> references;
  std::string digest;       ///< Of the manifest.
  std::string platform;     ///< "linux/amd64"
  std::uint64_t bytes = 0;  ///< Compressed layers and configuration.
  base::WallTime created{};
  bool in_use = false;
};

struct ImagePullProgress {
  std::string reference;
  std::uint64_t bytes_done = 0, bytes_total = 0;
  std::uint32_t layers_done = 0, layers_total = 0;
};

struct ImageGarbage {
  std::uint64_t bytes_freed = 0;
  std::uint32_t blobs_removed = 0, layers_removed = 0;
};

/// What an operator does with the images of a node. Pulling is the WorkloadDriver's.
///
/// Calls are made on one executor, and none blocks it. Implementations: an adapter to HyperMesh's
/// Runtime; FakeImageAdmin (tests).
class ImageAdmin {
 public:
  virtual ~ImageAdmin() = default;
  virtual base::Task<base::Result<std::vector<ImageSummary>>> list() = 0;
  /// From an OCI layout folder or a tar archive of one (also docker-archive). Answers the
  /// references.
  virtual base::Task<base::Result<std::vector<std::string>>> import(std::string path,
                                                                    std::string reference) = 0;
  /// Writes an OCI layout archive to `path`.
  virtual base::Task<base::Result<>> write_archive(std::string reference, std::string path) = 0;
  /// {"manifest":{},"config":{}} as one JSON text. Errors: NotFound.
  virtual base::Task<base::Result<std::string>> inspect(std::string reference) = 0;
  /// Removes the name. Errors: NotFound, FailedPrecondition (a container runs from it).
  virtual base::Task<base::Result<>> remove(std::string reference) = 0;
  /// Removes what no name and no container needs.
  virtual base::Task<base::Result<ImageGarbage>> collect_garbage() = 0;
  /// What goes on now.
  virtual std::vector<ImagePullProgress> pulls() const = 0;
};

}  // namespace nexus
