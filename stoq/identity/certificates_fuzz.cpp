// Certificates of strangers, and folders of certificates. The first byte says what the rest is: a
// leaf for IdentityVerifier, a chain for AuthorityVerifier, or one file of a folder; as it is, or
// as changes (two bytes where, one byte what) to a good one.
#include <stdlib.h>

#include <base/file.hpp>
#include <fstream>

#include "identity/file_certificates.hpp"
#include "identity/leaf_certificate.hpp"
#include "identity/testing/test_authority.hpp"

namespace {

using namespace stoq;
using namespace std::chrono_literals;
using stoq::testing::TestAuthority;

const base::WallTime kNow = *base::parse_rfc3339("2026-11-21T12:00:00Z");

struct World final : AuthoritySource {
  World() {
    std::string name = (std::filesystem::temp_directory_path() / "fuzz-XXXXXX").string();
    folder = mkdtemp(name.data());
    trusted = std::make_shared<const Authorities>(Authorities{authority.der()});
    put("authority.pem", authority.pem());
    put("certificate.pem", leaf.pem());
    put("key.pem", leaf.key_pem());
  }
  ~World() override { std::filesystem::remove_all(folder); }
  base::Result<std::shared_ptr<const Authorities>> authorities(base::WallTime) override {
    return trusted;
  }
  void put(const std::string& name, const std::string& text) const {
    (void)base::write_private_file(folder / name, text);
  }

  base::SeededRng rng{1};
  Identity identity = Identity::generate(rng);
  base::Bytes own = issue_leaf(identity, rng, kNow, 24h).certificates.front();
  TestAuthority authority{kNow - 1h, kNow + 24h};
  TestAuthority::Leaf between =
      authority.issue({.from = kNow - 1h, .until = kNow + 24h, .authority = true});
  TestAuthority::Leaf leaf = authority.issue(identity.id, kNow - 1h, kNow + 24h);
  TestAuthority::Leaf below = TestAuthority::issue_below(
      between,
      {.names = TestAuthority::node_uri(identity.id), .from = kNow - 1h, .until = kNow + 24h});
  std::shared_ptr<const Authorities> trusted;
  std::filesystem::path folder;
};

base::Bytes changed(base::Bytes good, base::BytesView changes) {
  for (std::size_t i = 0; i + 2 < changes.size(); i += 3)
    good[(changes[i] * 256u + changes[i + 1]) % good.size()] ^= changes[i + 2];
  return good;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World world;
  if (size < 2) return 0;
  const base::BytesView rest(data + 1, size - 1);
  const auto made = [&](const base::Bytes& good) {
    return (data[0] & 1) != 0 ? base::Bytes(rest.begin(), rest.end()) : changed(good, rest);
  };
  switch ((data[0] >> 1) % 4) {
    case 0: {
      IdentityVerifier verifier;
      const auto der = made(world.own);
      const base::BytesView view(der);
      // Whatever was changed, it proves at most what it proved.
      if (const auto node = verifier.verify({&view, 1}, kNow); node && der != world.own) abort();
      break;
    }
    case 1:
    case 2: {
      AuthorityVerifier verifier(world);
      const bool longer = (data[0] >> 1) % 4 == 2;
      std::vector<base::Bytes> chain{made(longer ? world.below.der() : world.leaf.der())};
      if (longer) chain.push_back(changed(world.between.der(), rest.subspan(rest.size() / 2)));
      const std::vector<base::BytesView> views(chain.begin(), chain.end());
      (void)verifier.verify(views, kNow);
      break;
    }
    default: {
      const char* const names[] = {"authority.pem", "certificate.pem", "key.pem"};
      const std::string good[] = {world.authority.pem(), world.leaf.pem(), world.leaf.key_pem()};
      const auto which = (data[0] >> 3) % 3;
      const auto bytes = made(base::Bytes(good[which].begin(), good[which].end()));
      std::ofstream(world.folder / names[which]) << base::as_text(bytes);
      (void)FileCertificates::open(world.folder, world.identity.id, kNow);
      std::ofstream(world.folder / names[which]) << good[which];
    }
  }
  return 0;
}
