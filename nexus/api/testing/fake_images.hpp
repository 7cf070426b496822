#pragma once

#include <fstream>
#include <map>
#include <nexus/image_admin.hpp>
#include <sstream>

namespace nexus::api {

/// Images as texts by name.
class FakeImages final : public ImageAdmin {
 public:
  std::map<std::string, std::string> images;
  std::vector<ImagePullProgress> progress;

  base::Task<base::Result<std::vector<ImageSummary>>> list() override {
    std::vector<ImageSummary> all;
    for (const auto& [name, content] : images)
      all.push_back({"sha256:1", {name}, "sha256:2", "linux/amd64", content.size(), {}, false});
    co_return all;
  }
  base::Task<base::Result<std::vector<std::string>>> import(std::string path,
                                                            std::string reference) override {
    std::ifstream file(path);
    if (!file) co_return base::fail(base::Errc::NotFound, path + " does not exist");
    std::stringstream content;
    content << file.rdbuf();
    images[reference] = content.str();
    co_return std::vector<std::string>{reference};
  }
  base::Task<base::Result<>> write_archive(std::string reference, std::string path) override {
    if (!images.contains(reference))
      co_return base::fail(base::Errc::NotFound, reference + " is not here");
    std::ofstream(path) << images[reference];
    co_return base::Result<>{};
  }
  base::Task<base::Result<std::string>> inspect(std::string reference) override {
    if (!images.contains(reference))
      co_return base::fail(base::Errc::NotFound, reference + " is not here");
    co_return R"({"manifest":{},"config":{}})";
  }
  base::Task<base::Result<>> remove(std::string reference) override {
    if (images.erase(reference) == 0)
      co_return base::fail(base::Errc::NotFound, reference + " is not here");
    co_return base::Result<>{};
  }
  base::Task<base::Result<ImageGarbage>> collect_garbage() override {
    co_return ImageGarbage{10, 2, 1};
  }
  std::vector<ImagePullProgress> pulls() const override { return progress; }
};

}  // namespace nexus::api
