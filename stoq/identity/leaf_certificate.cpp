#include "identity/leaf_certificate.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "identity/der.hpp"
#include "identity/x509.hpp"

namespace stoq {

using base::Errc;
using base::fail;
using base::Result;
using namespace std::chrono_literals;
using x509::AuthorityKey;
using x509::Certificate;
using x509::Extension;
using x509::Key;

namespace {

constexpr auto kClockLag = 5min;
constexpr std::size_t kLeafBytesMax = 4096;
// AlgorithmIdentifier of Ed25519 (RFC 8410, section 3).
constexpr std::uint8_t kEd25519[] = {0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70};
constexpr std::uint8_t kKeyIdentifier = 0x80;  // [0] of an AuthorityKeyIdentifier.

void must(bool done) {
  BASE_ASSERT(done, "OpenSSL builds a certificate from good values");
}

void name(X509_NAME* of, const char* field, const std::string& value) {
  must(X509_NAME_add_entry_by_txt(of, field, MBSTRING_ASC,
                                  reinterpret_cast<const unsigned char*>(value.c_str()), -1, -1,
                                  0) == 1);
}

void extend(X509* certificate, int nid, const std::string& value) {
  const Extension extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()));
  must(extension && X509_add_ext(certificate, extension.get(), -1) == 1);
}

void time_field(ASN1_TIME* field, base::WallTime time) {
  must(ASN1_TIME_set(field, std::chrono::system_clock::to_time_t(
                                std::chrono::time_point_cast<std::chrono::system_clock::duration>(
                                    time))) != nullptr);
}

Result<base::WallTime> wall_time(const DerReader::Element& field) {
  const auto* at = field.whole.data();
  const x509::Time time(d2i_ASN1_TIME(nullptr, &at, static_cast<long>(field.whole.size())));
  if (!time) return fail(Errc::NotVerified, "the certificate's validity is not a time");
  return x509::wall_time(time.get());
}

// The value of the authority key identifier among the extensions; empty when there is none.
Result<base::BytesView> authority_key(base::BytesView extensions) {
  static constexpr std::uint8_t kId[] = {0x06, 0x03, 0x55, 0x1d, 0x23};  // 2.5.29.35
  TRY(const auto list, DerReader(extensions).next(DerReader::kSequence));
  for (DerReader each(list.content); !each.done();) {
    TRY(const auto extension, each.next(DerReader::kSequence));
    DerReader parts(extension.content);
    TRY(const auto id, parts.next());
    if (!std::ranges::equal(id.whole, kId)) continue;
    TRY(const auto value, parts.next(DerReader::kOctetString));
    TRY(const auto identifier, DerReader(value.content).next(DerReader::kSequence));
    TRY(const auto key, DerReader(identifier.content).next());
    return key.tag == kKeyIdentifier ? key.content : base::BytesView();
  }
  return base::BytesView();
}

}  // namespace

CertificateChain issue_leaf(const Identity& identity, base::Rng& rng, base::WallTime now,
                            base::Duration life) {
  const auto leaf_key = base::SigningKey::generate(rng);
  const Certificate certificate(X509_new());
  must(certificate && X509_set_version(certificate.get(), X509_VERSION_3) == 1);

  std::array<std::uint8_t, 16> serial;
  rng.fill(serial);
  serial[0] = (serial[0] & 0x7f) | 0x40;  // Positive, and of one length.
  must(ASN1_STRING_set(X509_get_serialNumber(certificate.get()), serial.data(), serial.size()) ==
       1);
  name(X509_get_issuer_name(certificate.get()), "O", "identity");
  name(X509_get_issuer_name(certificate.get()), "CN", identity.id.text());
  name(X509_get_subject_name(certificate.get()), "CN", identity.id.text());
  time_field(X509_getm_notBefore(certificate.get()), now - kClockLag);
  time_field(X509_getm_notAfter(certificate.get()), now + life);
  const auto& public_key = leaf_key.public_key();
  const Key leaf_public(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, public_key.data(), public_key.size()));
  must(leaf_public && X509_set_pubkey(certificate.get(), leaf_public.get()) == 1);

  extend(certificate.get(), NID_basic_constraints, "critical,CA:FALSE");
  extend(certificate.get(), NID_key_usage, "critical,digitalSignature");
  extend(certificate.get(), NID_ext_key_usage, "serverAuth,clientAuth");
  extend(certificate.get(), NID_subject_alt_name, "DNS:" + identity.id.text());
  const AuthorityKey authority(AUTHORITY_KEYID_new());
  must(authority != nullptr);
  authority->keyid = ASN1_OCTET_STRING_new();
  const auto& identity_key = identity.key.public_key();
  must(ASN1_OCTET_STRING_set(authority->keyid, identity_key.data(), identity_key.size()) == 1);
  must(X509_add1_ext_i2d(certificate.get(), NID_authority_key_identifier, authority.get(), 0, 0) ==
       1);

  const auto seed = identity.key.seed();
  const Key signer(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed.data(), seed.size()));
  must(signer && X509_sign(certificate.get(), signer.get(), nullptr) > 0);

  const int size = i2d_X509(certificate.get(), nullptr);
  must(size > 0);
  base::Bytes der(static_cast<std::size_t>(size));
  auto* out = der.data();
  i2d_X509(certificate.get(), &out);

  base::Bytes pkcs8(std::begin(kEd25519Pkcs8), std::end(kEd25519Pkcs8));
  const auto leaf_seed = leaf_key.seed();
  pkcs8.reserve(pkcs8.size() + leaf_seed.size());
  pkcs8.insert(pkcs8.end(), leaf_seed.begin(), leaf_seed.end());
  CertificateChain chain;
  chain.certificates.push_back(std::move(der));
  chain.private_key = base::SecretBytes(std::move(pkcs8));
  return chain;
}

Result<std::shared_ptr<const CertificateChain>> LeafRotation::current(base::WallTime now) {
  const std::lock_guard lock(mutex_);
  // A clock that was set back must not leave a leaf that is not valid yet.
  if (!leaf_ || now < issued_ || now - issued_ >= life_ * 2 / 3) {
    leaf_ = std::make_shared<const CertificateChain>(issue_leaf(identity_, rng_, now, life_));
    issued_ = now;
  }
  return leaf_;
}

Result<VerifiedLeaf> IdentityVerifier::examine(base::BytesView der) {
  if (der.size() > kLeafBytesMax) {
    return fail(Errc::NotVerified, fmt::format("the certificate has {} bytes; at most {} are read",
                                               der.size(), kLeafBytesMax));
  }
  // OpenSSL would decode what nobody asks for, at twice the price of checking the signature.
  DerReader outer(der);
  TRY(const auto certificate, outer.next(DerReader::kSequence));
  if (!outer.done()) return fail(Errc::NotVerified, "something follows the certificate");
  DerReader parts(certificate.content);
  TRY(const auto signed_part, parts.next(DerReader::kSequence));
  TRY(const auto algorithm, parts.next(DerReader::kSequence));
  TRY(const auto bits, parts.next(DerReader::kBitString));
  base::Signature signature;
  if (!parts.done() || !std::ranges::equal(algorithm.whole, kEd25519) ||
      bits.content.size() != 1 + signature.size() || bits.content[0] != 0) {
    return fail(Errc::NotVerified, "the certificate is not signed with Ed25519");
  }
  std::ranges::copy(bits.content.subspan(1), signature.begin());

  // RFC 5280, section 4.1: version, serial number, algorithm, issuer, validity, subject, key,
  // extensions.
  DerReader fields(signed_part.content);
  TRY_DO(fields.next(DerReader::kFirst));
  TRY_DO(fields.next(DerReader::kInteger));
  TRY_DO(fields.next(DerReader::kSequence));
  TRY_DO(fields.next(DerReader::kSequence));
  TRY(const auto validity, fields.next(DerReader::kSequence));
  TRY_DO(fields.next(DerReader::kSequence));
  TRY_DO(fields.next(DerReader::kSequence));
  TRY(const auto extensions, fields.next(DerReader::kFirst + 3));
  TRY(const auto authority, authority_key(extensions.content));
  base::PublicKey identity;
  if (authority.size() != identity.size())
    return fail(Errc::NotVerified, "the certificate names no identity that signed it");
  std::ranges::copy(authority, identity.begin());
  if (!base::verify(identity, signed_part.whole, signature))
    return fail(Errc::NotVerified, "the certificate was not signed by its identity");

  DerReader times(validity.content);
  TRY(const auto not_before, times.next());
  TRY(const auto not_after, times.next());
  TRY(const auto from, wall_time(not_before));
  TRY(const auto until, wall_time(not_after));
  return VerifiedLeaf{NodeId::of(identity), from, until};
}

Result<NodeId> IdentityVerifier::verify(std::span<const base::BytesView> chain,
                                        base::WallTime now) {
  if (chain.empty()) return fail(Errc::NotVerified, "the peer showed no certificate");
  if (chain.size() > 1) {
    return fail(Errc::NotVerified,
                fmt::format("the peer showed {} certificates; a node shows one", chain.size()));
  }
  const base::Digest digest = base::sha256(chain.front());
  auto leaf = leaves_.find(digest);
  if (!leaf) {
    TRY(leaf, examine(chain.front()));
    leaves_.remember(digest, *leaf);
  }
  return holds(*leaf, now, revocations_);
}

}  // namespace stoq
