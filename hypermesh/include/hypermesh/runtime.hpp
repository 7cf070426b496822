#pragma once

#include <string>
#include <vector>

#include <nexus/workload_driver.hpp>

namespace hypermesh {

struct ImageSummary {
  std::string id;                     ///< "sha256:..." of the image configuration.
  std::vector<std::string> references;
  std::string digest;                 ///< Of the manifest.
  std::string platform;               ///< "linux/amd64"
  std::uint64_t bytes = 0;            ///< Compressed layers and configuration.
  base::WallTime created{};
  bool in_use = false;
};

struct PullProgress {
  std::string reference;
  std::uint64_t bytes_done = 0, bytes_total = 0;
  std::uint32_t layers_done = 0, layers_total = 0;
};

struct GarbageReport {
  std::uint64_t bytes_freed = 0;
  std::uint32_t blobs_removed = 0, layers_removed = 0;
};

/// Containers and images of one node.
///
/// Extends the port that Nexus drives workloads through by what an operator does with images.
/// Implementations: ContainerRuntime (crun or runc through the keeper), FakeRuntime (tests).
class Runtime : public nexus::WorkloadDriver {
 public:
  virtual base::Task<base::Result<std::vector<ImageSummary>>> list_images() = 0;
  /// From an OCI layout folder or a tar archive of one (also docker-archive). Answers the references.
  virtual base::Task<base::Result<std::vector<std::string>>> import_image(std::string path, std::string reference) = 0;
  /// Writes an OCI layout archive.
  virtual base::Task<base::Result<>> export_image(std::string reference, std::string path) = 0;
  /// Manifest and configuration as one JSON text. Errors: NotFound.
  virtual base::Task<base::Result<std::string>> inspect_image(std::string reference) = 0;
  /// Removes the name. Errors: NotFound, FailedPrecondition (a container runs from it; names it).
  virtual base::Task<base::Result<>> remove_image(std::string reference) = 0;
  /// Removes what no name and no container needs.
  virtual base::Task<base::Result<GarbageReport>> collect_garbage() = 0;
  /// What goes on now, for progress displays.
  virtual std::vector<PullProgress> pulls() const = 0;
};

}  // namespace hypermesh
