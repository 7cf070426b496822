#include "runtime/images/image_store.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "runtime/images/testing/scratch.hpp"

namespace hypermesh {
namespace {

namespace fs = std::filesystem;
using testing::read_text;
using testing::Scratch;
using testing::write_text;

class ImageStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void open() {
    store_.reset();
    auto opened = ImageStore::open(scratch_ / "images");
    ASSERT_TRUE(opened) << opened.error().describe();
    store_ = *std::move(opened);
  }
  ContentDigest put(const std::string& text) {
    BlobPins pins(*store_);
    return *store_->put_blob(text, pins);
  }
  ImageRecord record(const std::string& reference, const std::string& content) {
    ImageRecord out;
    out.reference = parse_reference(reference)->text();
    out.target = out.manifest = digest_of("manifest of " + content);
    out.config = digest_of("config of " + content);
    out.layers = {digest_of(content)};
    out.diff_ids = {digest_of("diff of " + content)};
    return out;
  }
  std::size_t files(const std::string& folder) {
    return std::size_t(std::distance(fs::directory_iterator(scratch_ / folder), {}));
  }

  Scratch scratch_;
  std::unique_ptr<ImageStore> store_;
};

TEST_F(ImageStoreTest, BlobsAreFoundByWhatTheyHold) {
  const auto digest = put("hello");
  EXPECT_EQ(digest, digest_of("hello"));
  EXPECT_EQ(store_->blob_bytes(digest), 5u);
  EXPECT_EQ(*store_->read_blob(digest, 100), "hello");
  EXPECT_EQ(read_text(store_->blob_path(digest)), "hello");
  EXPECT_FALSE(store_->blob_bytes(digest_of("other")));
  EXPECT_EQ(store_->read_blob(digest_of("other"), 100).error().code, base::Errc::NotFound);
  EXPECT_EQ(store_->read_blob(digest, 4).error().code, base::Errc::ResourceExhausted);
  put("hello");
  EXPECT_EQ(files("images/blobs/sha256"), 1u);
}

TEST_F(ImageStoreTest, AWrongBlobIsNotKept) {
  BlobPins pins(*store_);
  const auto writer = *store_->new_blob();
  ASSERT_TRUE(writer->append(base::as_bytes("rubbish")));
  ASSERT_TRUE(writer->restart());
  ASSERT_TRUE(writer->append(base::as_bytes("hel")));
  ASSERT_TRUE(writer->append(base::as_bytes("lo")));
  const auto committed = writer->commit(pins, digest_of("other"));
  ASSERT_FALSE(committed);
  EXPECT_EQ(committed.error().code, base::Errc::NotVerified);
  EXPECT_NE(committed.error().message.find(digest_of("hello").text()), std::string::npos);
  EXPECT_EQ(files("images/blobs/sha256"), 0u);
}

TEST_F(ImageStoreTest, AnAbandonedBlobLeavesNothing) {
  {
    const auto writer = *store_->new_blob();
    ASSERT_TRUE(writer->append(base::as_bytes("half")));
    EXPECT_EQ(files("images/ingest"), 1u);
  }
  EXPECT_EQ(files("images/ingest"), 0u);
}

TEST_F(ImageStoreTest, WhatACrashLeftIsRemovedAndNamesStay) {
  const auto digest = put("layer");
  ASSERT_TRUE(store_->change({}, {record("web:1", "layer")}));
  store_.reset();
  write_text(scratch_ / "images/ingest/0123", "half a blob");
  write_text(scratch_ / "images/ingest/images.json", "{half an index");
  open();
  EXPECT_EQ(files("images/ingest"), 0u);
  EXPECT_EQ(store_->records()->all().size(), 1u);
  EXPECT_EQ(store_->blob_bytes(digest), 5u);
}

TEST_F(ImageStoreTest, ADamagedIndexIsAnErrorThatSaysWhatToDo) {
  ASSERT_TRUE(store_->change({}, {record("web:1", "layer")}));
  store_.reset();
  write_text(scratch_ / "images/images.json",
             read_text(scratch_ / "images/images.json").substr(0, 40));
  const auto opened = ImageStore::open(scratch_ / "images");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, base::Errc::DataLoss);
  EXPECT_FALSE(opened.error().hints.empty());
}

TEST_F(ImageStoreTest, DamageOnDiskIsNoticedAndTheBlobGoes) {
  const auto digest = put("hello");
  EXPECT_TRUE(store_->verify_blob(digest));
  write_text(store_->blob_path(digest), "hallo");
  const auto damaged = store_->read_blob(digest, 100);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, base::Errc::DataLoss);
  EXPECT_FALSE(store_->blob_bytes(digest));
}

TEST_F(ImageStoreTest, TwoProcessesDoNotShareAFolder) {
  const auto second = ImageStore::open(scratch_ / "images");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, base::Errc::FailedPrecondition);
}

TEST_F(ImageStoreTest, GarbageIsWhatNeitherANameNorAPinNeeds) {
  put("layer");
  put("manifest of layer");
  put("config of layer");
  put("old");
  ASSERT_TRUE(store_->change({}, {record("web:1", "layer")}));
  auto pins = std::make_unique<BlobPins>(*store_);
  pins->add(digest_of("pinned"));
  put("pinned");
  auto garbage = store_->collect();
  ASSERT_TRUE(garbage);
  EXPECT_EQ(garbage->blobs, 1u);
  EXPECT_EQ(garbage->bytes, 3u);
  EXPECT_FALSE(store_->blob_bytes(digest_of("old")));
  EXPECT_TRUE(store_->blob_bytes(digest_of("pinned")));
  EXPECT_TRUE(store_->blob_bytes(digest_of("layer")));
  pins.reset();
  EXPECT_EQ(store_->collect()->blobs, 1u);
  ASSERT_TRUE(store_->change({"docker.io/library/web:1"}, {}));
  EXPECT_EQ(store_->collect()->blobs, 3u);
  EXPECT_EQ(files("images/blobs/sha256"), 0u);
}

TEST_F(ImageStoreTest, ThreadsWriteWhileGarbageIsCollected) {
  std::atomic<bool> done = false;
  std::thread collector([&] {
    while (!done) ASSERT_TRUE(store_->collect());
  });
  std::vector<std::thread> writers;
  for (int t = 0; t < 3; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < 30; ++i) {
        const std::string text = "blob " + std::to_string(i % 7);
        BlobPins pins(*store_);
        pins.add(digest_of(text));
        if (!store_->blob_bytes(digest_of(text))) ASSERT_TRUE(store_->put_blob(text, pins));
        ASSERT_TRUE(store_->blob_bytes(digest_of(text))) << "a pinned blob is not collected";
        ASSERT_TRUE(store_->change({}, {record("web:" + std::to_string(t), text)}));
      }
    });
  }
  for (auto& writer : writers) writer.join();
  done = true;
  collector.join();
  EXPECT_EQ(store_->records()->all().size(), 3u);
}

}  // namespace
}  // namespace hypermesh
