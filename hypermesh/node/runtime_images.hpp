#pragma once

#include <hypermesh/runtime.hpp>

namespace hypermesh {

/// The images of a runtime, as Nexus's API administers them.
class RuntimeImages final : public nexus::ImageAdmin {
 public:
  /// `runtime` is borrowed.
  explicit RuntimeImages(Runtime& runtime) : runtime_(runtime) {}
  base::Task<base::Result<std::vector<ImageSummary>>> list() override {
    return runtime_.list_images();
  }
  base::Task<base::Result<std::vector<std::string>>> import(std::string path,
                                                            std::string reference) override {
    return runtime_.import_image(std::move(path), std::move(reference));
  }
  base::Task<base::Result<>> write_archive(std::string reference, std::string path) override {
    return runtime_.export_image(std::move(reference), std::move(path));
  }
  base::Task<base::Result<std::string>> inspect(std::string reference) override {
    return runtime_.inspect_image(std::move(reference));
  }
  base::Task<base::Result<>> remove(std::string reference) override {
    return runtime_.remove_image(std::move(reference));
  }
  base::Task<base::Result<GarbageReport>> collect_garbage() override {
    return runtime_.collect_garbage();
  }
  std::vector<PullProgress> pulls() const override { return runtime_.pulls(); }

 private:
  Runtime& runtime_;
};

}  // namespace hypermesh
