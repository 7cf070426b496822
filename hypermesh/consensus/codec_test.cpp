#include <gtest/gtest.h>

#include "consensus/records.hpp"

namespace hypermesh::consensus {
namespace {

struct Samples {
  Samples() {
    bundle.client = base::sha256("client");
    bundle.sequence = 3;
    bundle.operations = {{1, 2, 3}, {}};
    bundle.signature[0] = 9;
    Block block{7, base::sha256("parent"), 1'700'000'000'000'000'000, 2, {}};
    block.bundles.push_back(std::make_shared<const Bundle>(bundle));
    link = make_link(cluster, block);
    certificate = {{Phase::Prepare, 1, 2, 7, link->digest}, {{0, {}}, {2, {}}, {3, {}}}};
    const Wish wish{2, {2, 7, link->digest}, {link->digest, cluster}, {}};
    const Vote vote{{Phase::Commit, 1, 2, 7, link->digest}, 3, {}};
    Voters voters;
    voters.keys.resize(4);
    for (std::size_t i = 0; i < 4; ++i) voters.keys[i][0] = static_cast<std::uint8_t>(i);
    const StableCheckpoint stable{certificate, base::sha256("root"), link->digest, std::nullopt};
    const StableCheckpoint end{certificate, base::sha256("root"), link->digest, voters};
    messages = {Proposal{1, 2, {}, true, link},
                Decided{certificate},
                VoteOpenly{1, 2, 7},
                vote,
                ViewChange{1, 3, wish, certificate},
                ViewChange{1, 3, wish, std::nullopt},
                NewView{1, 3, {wish, wish}, certificate},
                Status{1, 2, true, 5, 6, 4, 3},
                Committed{certificate, {link, link}},
                stable,
                end,
                Fetch{link->digest, 7, 3},
                Fetched{{link}},
                Submit{std::make_shared<const Bundle>(bundle)},
                Evidence{vote, vote},
                Epochs{{end, end}, stable},
                Epochs{{end}, std::nullopt},
                ReadAsk{2, 5},
                ReadAnswer{2, 5, 77, 78}};
    records = {EpochBegun{voters, 3, link->digest},
               ViewWanted{1, 4, wish.claim, wish.held},
               ViewBegun{1, 4, wish.claim, NewView{1, 4, {wish}, certificate}},
               ViewBegun{1, 0, {}, std::nullopt},
               Reserved{1, 4, 99},
               Body{link},
               Accepted{1, 4, 8, link->digest},
               Certified{certificate},
               stable,
               EpochEnded{end},
               Silenced{}};
  }
  ClusterId cluster = base::sha256("cluster");
  Bundle bundle;
  LinkPtr link;
  Certificate certificate;
  std::vector<Message> messages;
  std::vector<Record> records;
};

TEST(Codec, MessagesAreReadAsTheyWereWritten) {
  const Samples samples;
  for (const Message& message : samples.messages) {
    const auto bytes = encode(message);
    const auto read = decode(samples.cluster, bytes);
    ASSERT_TRUE(read) << message.index() << read.error().describe();
    EXPECT_EQ(read->index(), message.index());
    EXPECT_EQ(encode(*read), bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode(samples.cluster, base::BytesView(bytes).first(size))) << message.index();
    auto longer = bytes;
    longer.push_back(0);
    EXPECT_FALSE(decode(samples.cluster, longer));
  }
  const auto proposal = decode(samples.cluster, encode(samples.messages[0]));
  EXPECT_EQ(std::get<Proposal>(*proposal).link->digest, samples.link->digest);
}

TEST(Codec, RecordsAreReadAsTheyWereWritten) {
  const Samples samples;
  for (const Record& record : samples.records) {
    const auto bytes = encode(record);
    const auto read = decode_record(samples.cluster, bytes);
    ASSERT_TRUE(read) << record.index() << read.error().describe();
    EXPECT_EQ(read->index(), record.index());
    EXPECT_EQ(encode(*read), bytes);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_FALSE(decode_record(samples.cluster, base::BytesView(bytes).first(size)));
  }
}

TEST(Codec, AProgramReadsTheVersionsThatItCanGoBy) {
  const Samples samples;
  for (const Version version : {1, 2}) {
    const auto message = encode(samples.messages[5], version);
    const auto record = encode(samples.records[0], version);
    EXPECT_EQ(message[0], version);
    for (const Versions known : {Versions{1, 1}, {1, 2}, {2, 3}}) {
      const auto read = decode(samples.cluster, message, known);
      const auto kept = decode_record(samples.cluster, record, known);
      EXPECT_EQ(read.has_value(), known.contain(version));
      EXPECT_EQ(kept.has_value(), known.contain(version));
      if (!read) EXPECT_EQ(read.error().code, base::Errc::Unsupported);
      if (!kept) EXPECT_EQ(kept.error().code, base::Errc::Unsupported);
    }
  }
}

TEST(Codec, OtherVersionsAndTypesAreNamed) {
  const Samples samples;
  auto bytes = encode(samples.messages[5]);
  bytes[0] = 2;
  EXPECT_NE(decode(samples.cluster, bytes).error().describe().find("version 2"), std::string::npos);
  bytes[0] = 1;
  bytes[1] = 200;
  EXPECT_NE(decode(samples.cluster, bytes).error().describe().find("type 200"), std::string::npos);
}

TEST(Block, ItsDigestCoversAllOfItAndTheCluster) {
  const Samples samples;
  const Block& block = samples.link->block;
  const auto digest = make_link(samples.cluster, block)->digest;
  EXPECT_EQ(digest, samples.link->digest);
  for (auto change : {+[](Block& b) { ++b.slot; }, +[](Block& b) { b.parent[0] ^= 1; },
                      +[](Block& b) { ++b.time; }, +[](Block& b) { ++b.proposer; },
                      +[](Block& b) { b.bundles.clear(); },
                      +[](Block& b) {
                        auto other = std::make_shared<Bundle>(*b.bundles[0]);
                        other->signature[63] ^= 1;
                        b.bundles[0] = other;
                      }}) {
    Block other = block;
    change(other);
    EXPECT_NE(make_link(samples.cluster, other)->digest, digest);
  }
  EXPECT_NE(make_link(base::sha256("another"), block)->digest, digest);
}

}  // namespace
}  // namespace hypermesh::consensus
