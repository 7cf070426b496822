#include "identity/file_certificates.hpp"

#include <fmt/format.h>
#include <openssl/pem.h>
#include <sys/stat.h>

#include <base/file.hpp>

#include "identity/x509.hpp"

namespace stoq {

using base::Errc;
using base::fail;
using base::Result;

namespace {

constexpr const char* kAuthority = "authority.pem";
constexpr const char* kCertificate = "certificate.pem";
constexpr const char* kKey = "key.pem";

x509::Bio bio(std::string_view text) {
  return x509::Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<std::vector<base::Bytes>> certificates_of(const std::filesystem::path& path) {
  TRY(const auto text, base::read_file(path, FileCertificates::kFileBytesMax));
  const auto source = bio(text);
  std::vector<base::Bytes> made;
  while (const x509::Certificate each{PEM_read_bio_X509(source.get(), nullptr, nullptr, nullptr)}) {
    base::Bytes der(static_cast<std::size_t>(i2d_X509(each.get(), nullptr)));
    auto* out = der.data();
    i2d_X509(each.get(), &out);
    made.push_back(std::move(der));
  }
  if (made.empty())
    return fail(Errc::InvalidArgument, path.string() + ": holds no certificate in PEM");
  return made;
}

Result<x509::Key> key_of(const std::filesystem::path& path) {
  TRY(auto text, base::read_private_file(path, FileCertificates::kFileBytesMax));
  if (!text) return fail(Errc::NotFound, path.string() + ": is missing");
  // Asks nobody for a password.
  const auto none = [](char*, int, int, void*) { return -1; };
  x509::Key key(PEM_read_bio_PrivateKey(bio(*text).get(), nullptr, none, nullptr));
  base::wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  if (!key) {
    return fail(Errc::InvalidArgument,
                path.string() + ": holds no private key in PEM without a password");
  }
  if (EVP_PKEY_get_base_id(key.get()) != EVP_PKEY_ED25519) {
    return fail(Errc::InvalidArgument,
                fmt::format("{}: is a key of {}; nodes speak with Ed25519 only", path.string(),
                            EVP_PKEY_get0_type_name(key.get())));
  }
  return key;
}

}  // namespace

Result<FileCertificates::Loaded> FileCertificates::load(base::WallTime now) const {
  TRY(auto authorities, certificates_of(folder_ / kAuthority));
  CertificateChain chain;
  TRY(chain.certificates, certificates_of(folder_ / kCertificate));
  TRY(const x509::Key key, key_of(folder_ / kKey));

  const auto& der = chain.certificates.front();
  const auto* at = der.data();
  const x509::Certificate leaf(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!leaf || X509_check_private_key(leaf.get(), key.get()) != 1) {
    return fail(Errc::InvalidArgument,
                fmt::format("{}: the first certificate is not that of {}",
                            (folder_ / kCertificate).string(), (folder_ / kKey).string()));
  }
  const std::vector<base::BytesView> views(chain.certificates.begin(), chain.certificates.end());
  auto proved = verify_by_authority(authorities, views);
  auto node = proved ? holds(*proved, now, nullptr) : std::unexpected(proved.error());
  if (!node) {
    return fail(node.error().code, (folder_ / kCertificate).string() + ": " + node.error().message);
  }
  if (*node != self_) {
    return fail(Errc::NotVerified,
                fmt::format("{}: is of the node {}; this node is {}",
                            (folder_ / kCertificate).string(), node->text(), self_.text()));
  }
  const x509::Pkcs8 pkcs8(EVP_PKEY2PKCS8(key.get()));
  const int size = pkcs8 ? i2d_PKCS8_PRIV_KEY_INFO(pkcs8.get(), nullptr) : 0;
  if (size <= 0) return fail(Errc::ResourceExhausted, "no memory for a private key");
  base::Bytes bytes(static_cast<std::size_t>(size));
  auto* out = bytes.data();
  i2d_PKCS8_PRIV_KEY_INFO(pkcs8.get(), &out);
  chain.private_key = base::SecretBytes(std::move(bytes));
  return Loaded{std::make_shared<const CertificateChain>(std::move(chain)),
                std::make_shared<const Authorities>(std::move(authorities))};
}

FileCertificates::Stamps FileCertificates::stamps() const {
  Stamps made;
  std::size_t i = 0;
  for (const char* name : {kAuthority, kCertificate, kKey}) {
    struct stat found{};
    Stamp& stamp = made[i++];
    if (stat((folder_ / name).c_str(), &found) != 0) continue;
    stamp = {found.st_ino, static_cast<std::uint64_t>(found.st_size),
             found.st_mtim.tv_sec * 1'000'000'000 + found.st_mtim.tv_nsec};
  }
  return made;
}

Result<std::unique_ptr<FileCertificates>> FileCertificates::open(std::filesystem::path folder,
                                                                 const NodeId& self,
                                                                 base::WallTime now,
                                                                 Report report) {
  std::unique_ptr<FileCertificates> made(
      new FileCertificates(std::move(folder), self, std::move(report)));
  made->stamps_ = made->stamps();
  made->looked_ = now;
  TRY(made->loaded_, made->load(now));
  return made;
}

void FileCertificates::look(base::WallTime now) {
  // A clock that was set back must not keep it from looking.
  if (now >= looked_ && now - looked_ < kLookEvery) return;
  looked_ = now;
  const auto found = stamps();
  if (found == stamps_ && !problem_) return;
  auto loaded = load(now);
  // Files of two generations mend themselves when the last of them is there.
  stamps_ = found;
  if (loaded) {
    loaded_ = *std::move(loaded);
    problem_.reset();
    return;
  }
  const bool told = problem_ && problem_->message == loaded.error().message;
  problem_ = loaded.error();
  if (report_ && !told) report_(*problem_);
}

Result<std::shared_ptr<const CertificateChain>> FileCertificates::current(base::WallTime now) {
  const std::lock_guard lock(mutex_);
  look(now);
  return loaded_.chain;
}

Result<std::shared_ptr<const Authorities>> FileCertificates::authorities(base::WallTime now) {
  const std::lock_guard lock(mutex_);
  look(now);
  return loaded_.authorities;
}

std::optional<base::Error> FileCertificates::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

}  // namespace stoq
