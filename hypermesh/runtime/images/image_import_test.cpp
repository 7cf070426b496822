#include "runtime/images/image_import.hpp"

#include <gtest/gtest.h>

#include "runtime/images/layout_documents.hpp"
#include "runtime/images/testing/scratch.hpp"
#include "runtime/images/testing/tar_builder.hpp"

namespace hypermesh {
namespace {

namespace fs = std::filesystem;
using testing::gzip;
using testing::memory_file;
using testing::read_text;
using testing::Scratch;
using testing::TarBuilder;
using testing::write_text;
using testing::zstd;

Descriptor describe(std::string_view type, const std::string& bytes) {
  return {.media_type = std::string(type),
          .digest = digest_of(bytes),
          .size = bytes.size(),
          .annotations = {},
          .platform = {}};
}

// An image in pieces, as layouts and archives hold it.
struct Pieces {
  std::string layer, config, manifest;
  explicit Pieces(const std::string& content, const std::string& architecture = "amd64") {
    const std::string tar = TarBuilder().file("f", content).done();
    layer = gzip(tar);
    config = fmt::format(
        R"({{"os":"linux","architecture":"{}","config":{{"Cmd":["/f"]}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}})",
        architecture, digest_of(tar).text());
    manifest = make_oci_manifest(describe(media_type::kOciConfig, config),
                                 {describe(media_type::kOciLayerGzip, layer)});
  }
  std::vector<std::string> blobs() const { return {layer, config, manifest}; }
};

class ImageImportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = ImageStore::open(scratch_ / "store");
    ASSERT_TRUE(opened);
    store_ = *std::move(opened);
  }
  base::Result<std::vector<ImageRecord>> import(const std::string& path,
                                                const std::string& reference = "") {
    BlobPins pins(*store_);
    return import_images(*store_, pins, path, {.reference = reference, .platform = Platform{}},
                         cancel_);
  }
  std::string archive(const std::string& bytes, const std::string& name = "web.tar") {
    write_text(scratch_ / name, bytes);
    return scratch_ / name;
  }
  static TarBuilder layout_archive(const Pieces& image, const std::string& index) {
    TarBuilder out;
    out.folder("blobs").folder("blobs/sha256");
    for (const auto& blob : image.blobs()) out.file("blobs/sha256/" + digest_of(blob).hex(), blob);
    out.file("index.json", index).file("oci-layout", std::string(kOciLayoutDocument));
    return out;
  }
  static std::string index_of(const Pieces& image, const std::string& name = "web:1") {
    return make_layout_index(describe(media_type::kOciManifest, image.manifest),
                             *parse_reference(name));
  }

  Scratch scratch_;
  std::unique_ptr<ImageStore> store_;
  CancelToken cancel_;
  const Pieces image_{"hello"};
};

TEST_F(ImageImportTest, LayoutFoldersAndArchives) {
  fs::create_directories(scratch_ / "layout/blobs/sha256");
  for (const auto& blob : image_.blobs())
    write_text(scratch_ / ("layout/blobs/sha256/" + digest_of(blob).hex()), blob);
  write_text(scratch_ / "layout/oci-layout", kOciLayoutDocument);
  write_text(scratch_ / "layout/index.json", index_of(image_));
  const std::string tar = layout_archive(image_, index_of(image_)).done();
  for (const std::string& path :
       {scratch_ / "layout", scratch_ / "layout/", archive(tar), archive(gzip(tar), "web.tar.gz"),
        archive(zstd(tar), "web.tar.zst")}) {
    const auto records = import(path);
    ASSERT_TRUE(records) << path << ": " << records.error().describe();
    ASSERT_EQ(records->size(), 1u);
    EXPECT_EQ(records->front().reference, "docker.io/library/web:1");
    EXPECT_EQ(records->front().target, digest_of(image_.manifest));
    EXPECT_EQ(records->front().config, digest_of(image_.config));
    for (const auto& blob : records->front().blobs()) EXPECT_TRUE(store_->blob_bytes(blob)) << path;
    ASSERT_TRUE(store_->collect());
    const auto named = import(path, "[::1]:5000/other:2");
    ASSERT_TRUE(named);
    EXPECT_EQ(named->front().reference, "[::1]:5000/other:2");
  }
}

TEST_F(ImageImportTest, AnIndexInALayoutGivesThisPlatform) {
  const Pieces arm("arm", "arm64");
  auto entry = [](const Pieces& image, const char* architecture) {
    Descriptor out = describe(media_type::kOciManifest, image.manifest);
    out.platform = Platform{"linux", architecture, ""};
    return fmt::format(
        R"({{"mediaType":"{}","digest":"{}","size":{},"platform":{{"os":"linux","architecture":"{}"}}}})",
        out.media_type, out.digest.text(), out.size, architecture);
  };
  const std::string inner =
      fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}})",
                  media_type::kOciIndex, entry(arm, "arm64"), entry(image_, "amd64"));
  TarBuilder tar;
  for (const auto& blob : image_.blobs()) tar.file("blobs/sha256/" + digest_of(blob).hex(), blob);
  tar.file("blobs/sha256/" + digest_of(inner).hex(), inner)
      .file("oci-layout", std::string(kOciLayoutDocument));
  tar.file("index.json",
           make_layout_index(describe(media_type::kOciIndex, inner), *parse_reference("web:1")));
  const auto records = import(archive(tar.done()));
  ASSERT_TRUE(records) << records.error().describe();
  EXPECT_EQ(records->front().target, digest_of(inner));
  EXPECT_EQ(records->front().manifest, digest_of(image_.manifest));
}

TEST_F(ImageImportTest, DockerArchives) {
  const std::string tar = TarBuilder().file("f", "docker").done();
  const std::string config = fmt::format(
      R"({{"os":"linux","architecture":"amd64","rootfs":{{"type":"layers","diff_ids":["{0}","{0}"]}}}})",
      digest_of(tar).text());
  const std::string path = archive(
      TarBuilder()
          .folder("l1")
          .file("l1/VERSION", "1.0")
          .file("l1/layer.tar", tar)
          .symlink("l2", "l1")
          .add({.name = "l3/layer.tar", .type = '2', .link = "../l1/layer.tar"})
          .file("abc.json", config)
          .file(
              "manifest.json",
              R"([{"Config":"abc.json","RepoTags":["web:1","web:latest"],"Layers":["l1/layer.tar","l3/layer.tar"]}])")
          .done());
  const auto records = import(path);
  ASSERT_TRUE(records) << records.error().describe();
  ASSERT_EQ(records->size(), 2u);
  EXPECT_EQ((*records)[1].reference, "docker.io/library/web:latest");
  EXPECT_EQ((*records)[0].config, digest_of(config));
  EXPECT_EQ((*records)[0].layers, (std::vector{digest_of(tar), digest_of(tar)}));
  EXPECT_EQ(import(path, "other:3")->front().reference, "docker.io/library/other:3");
}

TEST_F(ImageImportTest, AnExportIsImportedAsTheSameImage) {
  auto records = import(archive(layout_archive(image_, index_of(image_)).done()));
  ASSERT_TRUE(records);
  for (const auto& blob : image_.blobs()) {
    BlobPins pins(*store_);
    ASSERT_TRUE(store_->put_blob(blob, pins));
  }
  const std::string out = scratch_ / "out.tar";
  const auto exported = export_to_file(*store_, records->front(), out, cancel_);
  ASSERT_TRUE(exported) << exported.error().describe();
  EXPECT_EQ(export_to_file(*store_, records->front(), out, cancel_).error().code,
            base::Errc::AlreadyExists);
  ASSERT_TRUE(export_to_file(*store_, records->front(), scratch_ / "again.tar", cancel_));
  EXPECT_EQ(read_text(out), read_text(scratch_ / "again.tar"))
      << "the same bytes for the same image";

  auto other = ImageStore::open(scratch_ / "other");
  ASSERT_TRUE(other);
  BlobPins pins(**other);
  const auto again =
      import_images(**other, pins, out, {.reference = "", .platform = Platform{}}, cancel_);
  ASSERT_TRUE(again) << again.error().describe();
  EXPECT_EQ(again->front(), records->front());
}

TEST_F(ImageImportTest, BadSourcesAreRefused) {
  const Pieces other("other");
  std::string wrong_blob = image_.layer;
  wrong_blob[20] ^= 1;
  const auto hex = [](const std::string& blob) { return "blobs/sha256/" + digest_of(blob).hex(); };
  const std::string layout(kOciLayoutDocument);
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {"empty", "", "the archive"},
      {"rubbish", std::string(3000, 'x'), "the archive cannot be read"},
      {"no image", TarBuilder().file("a", "a").done(), "holds no image"},
      {"missing blobs",
       TarBuilder().file("oci-layout", layout).file("index.json", index_of(image_)).done(),
       "does not hold the blob"},
      {"wrong blob", TarBuilder().file(hex(image_.layer), wrong_blob).done(),
       "does not match its digest"},
      {"blob name", TarBuilder().file("blobs/sha256/../../etc", "x").done(), "has \"..\""},
      {"odd blob name", TarBuilder().file("blobs/sha256/xyz", "x").done(),
       "is not a SHA-256 digest"},
      {"index is a manifest",
       TarBuilder().file("oci-layout", layout).file("index.json", image_.manifest).done(),
       "must be an index"},
      {"layout version",
       TarBuilder()
           .file("oci-layout", R"({"imageLayoutVersion":"9"})")
           .file("index.json", index_of(image_))
           .done(),
       "imageLayoutVersion is \"9\""},
      {"docker without files",
       TarBuilder()
           .file("manifest.json", R"([{"Config":"c.json","RepoTags":["a"],"Layers":[]}])")
           .done(),
       "does not hold \"c.json\""},
      {"docker link loop",
       TarBuilder()
           .symlink("c.json", "d.json")
           .symlink("d.json", "c.json")
           .file("manifest.json", R"([{"Config":"c.json","RepoTags":["a"],"Layers":[]}])")
           .done(),
       "does not hold \"c.json\""},
      {"long document", TarBuilder().file("index.json", std::string(5 << 20, ' ')).done(),
       "more than 4194304 bytes"},
      {"other platform",
       layout_archive(Pieces("x", "arm64"), index_of(Pieces("x", "arm64"))).done(),
       "the image is for linux/arm64; this node runs linux/amd64"},
      {"cut", layout_archive(image_, index_of(image_)).without_end().substr(0, 1800),
       "the archive"},
  };
  for (const auto& [name, tar, why] : cases) {
    const auto records = import(archive(tar, name));
    ASSERT_FALSE(records) << name;
    EXPECT_NE(records.error().describe().find(why), std::string::npos)
        << name << ": " << records.error().describe();
  }
  EXPECT_EQ(import(scratch_ / "missing").error().code, base::Errc::NotFound);
  fs::create_directories(scratch_ / "empty-folder");
  EXPECT_EQ(import(scratch_ / "empty-folder").error().code, base::Errc::NotFound);
  EXPECT_EQ(import("/dev/null").error().code, base::Errc::InvalidArgument);
  ASSERT_TRUE(store_->collect());
  EXPECT_TRUE(fs::is_empty(scratch_ / "store/ingest"));
  EXPECT_TRUE(fs::is_empty(scratch_ / "store/blobs/sha256"));
}

TEST_F(ImageImportTest, LinksInLayoutFoldersAreNotFollowed) {
  fs::create_directories(scratch_ / "layout");
  write_text(scratch_ / "secret", R"({"imageLayoutVersion":"1.0.0"})");
  fs::create_symlink(scratch_ / "secret", scratch_ / "layout/oci-layout");
  EXPECT_FALSE(import(scratch_ / "layout"));
}

}  // namespace
}  // namespace hypermesh
