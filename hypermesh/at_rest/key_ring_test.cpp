#include "at_rest/key_ring.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <base/file.hpp>

#include "at_rest/sealed_record.hpp"

namespace hypermesh::at_rest {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Passphrase passphrase(std::string_view text) {
  const auto bytes = base::as_bytes(text);
  return {base::SecretBytes(base::Bytes(bytes.begin(), bytes.end()))};
}

class KeyRingTest : public testing::Test {
 protected:
  KeyRingTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "keyring-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~KeyRingTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path ring() const { return folder_ / "keyring"; }
  std::filesystem::path key() const { return folder_ / "master.key"; }
  KeyFile key_file() const { return {key()}; }

  std::string content(const std::filesystem::path& path) const {
    return *base::read_file(path, kRingBytesMax);
  }
  void put(const std::filesystem::path& path, std::string_view bytes) const {
    ASSERT_TRUE(base::write_private_file(path, bytes));
  }

  std::filesystem::path folder_;
  base::SystemRng rng_;
  const base::BytesView plain_ = base::as_bytes("a record");
  const base::BytesView here_ = base::as_bytes("here");
};

TEST_F(KeyRingTest, WhatOneRunSealsTheNextOpens) {
  base::Bytes sealed;
  {
    auto made = make_key_ring(ring(), key_file(), rng_);
    ASSERT_TRUE(made) << made.error().describe();
    sealed = (*made)->seal(plain_, here_);
    EXPECT_EQ(sealed.size(), plain_.size() + kSealBytes);
    EXPECT_NE((*made)->seal(plain_, here_), sealed);
  }
  auto opened = open_key_ring(ring(), key_file(), rng_);
  ASSERT_TRUE(opened) << opened.error().describe();
  EXPECT_EQ(base::as_text(*(*opened)->open(sealed, here_)), "a record");
  EXPECT_EQ((*opened)->open(sealed, base::as_bytes("there")).error().code, base::Errc::NotVerified);
  for (std::size_t at = 4; at < sealed.size(); ++at) {
    base::Bytes changed = sealed;
    changed[at] ^= 1;
    EXPECT_EQ((*opened)->open(changed, here_).error().code, base::Errc::NotVerified);
  }
  EXPECT_EQ((*opened)->open({}, here_).error().code, base::Errc::NotVerified);
}

TEST_F(KeyRingTest, FilesAreForTheirOwnerAlone) {
  ASSERT_TRUE(make_key_ring(ring(), key_file(), rng_));
  EXPECT_EQ(content(key()).size(), 32u);
  for (const auto& path : {ring(), key()}) {
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
    const auto refused = open_key_ring(ring(), key_file(), rng_);
    EXPECT_EQ(refused.error().code, base::Errc::FailedPrecondition);
    EXPECT_THAT(refused.error().hints, ElementsAre(HasSubstr("chmod 600")));
    ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  }
}

TEST_F(KeyRingTest, RotationKeepsOldRecordsReadableUntilTheirKeyIsForgotten) {
  auto made = make_key_ring(ring(), key_file(), rng_);
  ASSERT_TRUE(made);
  KeyRing& keys = **made;
  const auto old = keys.seal(plain_, here_);
  EXPECT_EQ(*keys.rotate(), 2u);
  EXPECT_EQ(*keys.rotate(), 3u);
  const auto fresh = keys.seal(plain_, here_);
  EXPECT_EQ(*epoch_of(fresh), 3u);
  EXPECT_TRUE(keys.open(old, here_));
  EXPECT_EQ(keys.forget_before(4).error().code, base::Errc::InvalidArgument);
  ASSERT_TRUE(keys.forget_before(3));
  made->reset();

  auto opened = open_key_ring(ring(), key_file(), rng_);
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->oldest_epoch(), 3u);
  EXPECT_EQ((*opened)->current_epoch(), 3u);
  EXPECT_TRUE((*opened)->open(fresh, here_));
  const auto gone = (*opened)->open(old, here_);
  EXPECT_EQ(gone.error().code, base::Errc::FailedPrecondition);
  EXPECT_THAT(gone.error().message, HasSubstr("epoch 1"));
}

TEST_F(KeyRingTest, ARecordOfOneEpochIsNotOneOfAnother) {
  auto made = make_key_ring(ring(), key_file(), rng_);
  ASSERT_TRUE((*made)->rotate());
  auto sealed = (*made)->seal(plain_, here_);
  sealed[3] = 1;
  EXPECT_EQ((*made)->open(sealed, here_).error().code, base::Errc::NotVerified);
}

TEST_F(KeyRingTest, APassphraseIsChangedWithoutTouchingData) {
  auto made = make_key_ring(ring(), passphrase("first"), rng_);
  ASSERT_TRUE(made) << made.error().describe();
  const auto sealed = (*made)->seal(plain_, here_);
  ASSERT_TRUE((*made)->change_master(passphrase("second")));
  EXPECT_TRUE((*made)->rotate());
  const auto refused = open_key_ring(ring(), passphrase("first"), rng_);
  EXPECT_EQ(refused.error().code, base::Errc::NotVerified);
  EXPECT_THAT(refused.error().message, HasSubstr("the passphrase does not open"));
  auto opened = open_key_ring(ring(), passphrase("second"), rng_);
  ASSERT_TRUE(opened) << opened.error().describe();
  EXPECT_TRUE((*opened)->open(sealed, here_));

  ASSERT_TRUE((*opened)->change_master(key_file()));
  EXPECT_EQ(open_key_ring(ring(), passphrase("second"), rng_).error().code,
            base::Errc::FailedPrecondition);
  EXPECT_TRUE((*open_key_ring(ring(), key_file(), rng_))->open(sealed, here_));
  EXPECT_EQ(make_key_ring(folder_ / "other", passphrase(""), rng_).error().code,
            base::Errc::InvalidArgument);
}

TEST_F(KeyRingTest, AMissingFileIsNeverMadeAnew) {
  EXPECT_EQ(open_key_ring(ring(), key_file(), rng_).error().code, base::Errc::NotFound);
  ASSERT_TRUE(make_key_ring(ring(), key_file(), rng_));
  EXPECT_EQ(make_key_ring(ring(), key_file(), rng_).error().code, base::Errc::AlreadyExists);
  std::filesystem::remove(key());
  const auto refused = open_key_ring(ring(), key_file(), rng_);
  EXPECT_EQ(refused.error().code, base::Errc::NotFound);
  EXPECT_THAT(refused.error().message, HasSubstr("master.key"));
  EXPECT_FALSE(std::filesystem::exists(key()));
}

TEST_F(KeyRingTest, AKeyFileFromAnInterruptedStartIsUsed) {
  ASSERT_TRUE(make_key_ring(ring(), key_file(), rng_));
  const std::string before = content(key());
  std::filesystem::remove(ring());
  ASSERT_TRUE(make_key_ring(ring(), key_file(), rng_));
  EXPECT_EQ(content(key()), before);
}

TEST_F(KeyRingTest, DamageAndNewerVersionsAreToldFromAWrongKey) {
  ASSERT_TRUE(make_key_ring(ring(), key_file(), rng_));
  const std::string whole = content(ring());
  for (std::size_t at = 0; at < whole.size(); ++at) {
    if (at == 8 || at == 9) continue;  // The version.
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    put(ring(), damaged);
    EXPECT_EQ(open_key_ring(ring(), key_file(), rng_).error().code, base::Errc::DataLoss) << at;
  }
  put(ring(), whole.substr(0, whole.size() / 2));
  const auto half = open_key_ring(ring(), key_file(), rng_);
  EXPECT_EQ(half.error().code, base::Errc::DataLoss);
  EXPECT_THAT(half.error().hints, ElementsAre(HasSubstr("backup")));

  std::string newer = whole;
  newer[9] = 2;
  put(ring(), newer);
  const auto refused = open_key_ring(ring(), key_file(), rng_);
  EXPECT_EQ(refused.error().code, base::Errc::FailedPrecondition);
  EXPECT_THAT(refused.error().describe(), HasSubstr("version 2 and this program reads up to 1"));

  put(ring(), whole);
  put(key(), std::string(32, 'k'));
  EXPECT_EQ(open_key_ring(ring(), key_file(), rng_).error().code, base::Errc::NotVerified);
  put(key(), "short");
  EXPECT_EQ(open_key_ring(ring(), key_file(), rng_).error().code, base::Errc::DataLoss);
}

TEST_F(KeyRingTest, ARotationThatCannotBeWrittenDoesNotHappen) {
  auto made = make_key_ring(ring(), key_file(), rng_);
  const auto sealed = (*made)->seal(plain_, here_);
  const std::string before = content(ring());
  // A folder stands where the new file would be made first.
  std::filesystem::create_directories(ring().string() + ".new/x");
  EXPECT_FALSE((*made)->rotate());
  EXPECT_EQ((*made)->current_epoch(), 1u);
  EXPECT_EQ(content(ring()), before);
  EXPECT_TRUE((*made)->open(sealed, here_));
  std::filesystem::remove_all(ring().string() + ".new");
  EXPECT_EQ(*(*made)->rotate(), 2u);
  ASSERT_TRUE((*made)->rotate());
  std::filesystem::create_directories(ring().string() + ".new/x");
  EXPECT_FALSE((*made)->forget_before(3));
  EXPECT_TRUE((*made)->open(sealed, here_));
}

}  // namespace
}  // namespace hypermesh::at_rest
