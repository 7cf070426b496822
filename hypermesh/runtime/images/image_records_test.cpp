#include "runtime/images/image_records.hpp"

#include <gtest/gtest.h>

#include "runtime/images/image_config.hpp"

namespace hypermesh {
namespace {

ImageRecord record(std::string_view reference, char image) {
  ImageRecord out;
  out.reference = parse_reference(reference)->text();
  const auto of = [&](std::string_view what) { return digest_of(std::string(what) + image); };
  out.target = of("index");
  out.manifest = of("manifest");
  out.config = of("config");
  out.layers = {digest_of("base"), of("layer")};
  out.diff_ids = {digest_of("base diff"), of("diff")};
  out.platform = "linux/amd64";
  out.bytes = 7;
  out.stored = base::WallTime(std::chrono::nanoseconds(1'700'000'000'123'456'789));
  return out;
}

TEST(ImageRecords, AreFoundByNameDigestAndId) {
  ImageRecords records;
  records.put(record("web:1", 'a'));
  records.put(record("web:2", 'b'));
  records.put(record("web-x:1", 'c'));
  const auto find = [&](const std::string& text) { return records.find(*parse_reference(text)); };
  EXPECT_EQ(find("web:1")->config, digest_of("configa"));
  EXPECT_EQ(find("web"), nullptr);
  EXPECT_EQ(find("web@" + digest_of("indexb").text())->reference, "docker.io/library/web:2");
  EXPECT_EQ(find("web:other@" + digest_of("manifesta").text())->reference,
            "docker.io/library/web:1");
  EXPECT_EQ(find("web@" + digest_of("indexc").text()), nullptr) << "of another repository";
  EXPECT_EQ((*records.find_text("web:2"))->config, digest_of("configb"));
  EXPECT_EQ((*records.find_text(digest_of("configb").text()))->reference,
            "docker.io/library/web:2");
  EXPECT_EQ((*records.find_text(digest_of("configb").hex().substr(0, 12)))->reference,
            "docker.io/library/web:2");
  EXPECT_EQ(records.find_text("nothing").error().code, base::Errc::NotFound);
  EXPECT_EQ(records.find_text("Bad Name").error().code, base::Errc::InvalidArgument);
}

TEST(ImageRecords, ANameHasOneImage) {
  ImageRecords records;
  records.put(record("web:1", 'a'));
  records.put(record("web:1", 'b'));
  EXPECT_EQ(records.all().size(), 1u);
  EXPECT_EQ(records.of_image(digest_of("configa")).size(), 0u);
  EXPECT_EQ(records.of_image(digest_of("configb")).size(), 1u);
}

TEST(ImageRecords, WhatContainersRunFromIsKeptUnderItsDigest) {
  ImageRecords records;
  records.put(record("web:1", 'a'));
  const ImageRecord next = record("web:1", 'b');
  const std::string name = "docker.io/library/web:1";
  const auto kept = records.displaced(name, &next);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->reference, "docker.io/library/web@" + digest_of("indexa").text());
  EXPECT_TRUE(kept->only_for_containers);
  EXPECT_TRUE(records.displaced(name, nullptr));
  const ImageRecord same = record("web:1", 'a');
  EXPECT_FALSE(records.displaced(name, &same));
  EXPECT_FALSE(records.displaced("docker.io/library/other:1", &next));
  records.put(record("web:also", 'a'));
  EXPECT_FALSE(records.displaced(name, &next)) << "another name of the repository keeps it";
}

TEST(ImageRecords, SurviveBeingWritten) {
  ImageRecords records;
  records.put(record("web:1", 'a'));
  records.put(record("[::1]:5000/x@" + digest_of("indexb").text(), 'b'));
  const auto read = ImageRecords::decode(records.encode());
  ASSERT_TRUE(read) << read.error().describe();
  EXPECT_EQ(read->all(), records.all());
  EXPECT_EQ(read->encode(), records.encode());
}

TEST(ImageRecords, DamageIsNoticed) {
  ImageRecords records;
  records.put(record("web:1", 'a'));
  const std::string good = records.encode();
  EXPECT_EQ(ImageRecords::decode(good.substr(0, good.size() / 2)).error().code,
            base::Errc::DataLoss);
  EXPECT_EQ(ImageRecords::decode("").error().code, base::Errc::DataLoss);
  EXPECT_EQ(ImageRecords::decode(R"({"schema":2,"images":[]})").error().code,
            base::Errc::Unsupported);
}

TEST(ImageRecords, WhatIsNeededFollowsTheNames) {
  ImageRecords records;
  records.put(record("web:1", 'a'));
  records.put(record("web:2", 'b'));
  EXPECT_EQ(needed_blobs(records).size(), 9u) << "the base layer is shared";
  EXPECT_TRUE(
      needed_layers(records).contains(chain_ids({digest_of("base diff"), digest_of("diffa")})[1]));
  records.erase("docker.io/library/web:1");
  EXPECT_EQ(needed_blobs(records).size(), 5u);
  EXPECT_TRUE(needed_blobs(records).contains(digest_of("base")));
  EXPECT_FALSE(needed_blobs(records).contains(digest_of("layera")));
}

}  // namespace
}  // namespace hypermesh
