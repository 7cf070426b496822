#pragma once

#include <nexus/image_admin.hpp>
#include <nexus/workload_driver.hpp>
#include <string>
#include <vector>

namespace hypermesh {

using ImageSummary = nexus::ImageSummary;
using PullProgress = nexus::ImagePullProgress;
using GarbageReport = nexus::ImageGarbage;

/// Containers and images of one node.
///
/// Extends the port that Nexus drives workloads through by what an operator does with images.
/// Implementations: ContainerRuntime (crun or runc through the keeper), FakeRuntime (tests).
class Runtime : public nexus::WorkloadDriver {
 public:
  virtual base::Task<base::Result<std::vector<ImageSummary>>> list_images() = 0;
  /// From an OCI layout folder or a tar archive of one (also docker-archive). Answers the
  /// references.
  virtual base::Task<base::Result<std::vector<std::string>>> import_image(
      std::string path, std::string reference) = 0;
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
