#pragma once

#include <openssl/pem.h>

#include <base/random.hpp>
#include <string>

#include "identity/identity_file.hpp"
#include "identity/x509.hpp"

namespace stoq::testing {

/// An authority as somebody else would run it, for tests.
class TestAuthority {
 public:
  struct Leaf {
    x509::Certificate certificate;
    x509::Key key;
    base::Bytes der() const { return TestAuthority::der(certificate.get()); }
    std::string pem() const { return TestAuthority::pem(certificate.get()); }
    std::string key_pem() const {
      const x509::Bio out(BIO_new(BIO_s_mem()));
      PEM_write_bio_PKCS8PrivateKey(out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
      return text(out.get());
    }
    base::Bytes key_der() const {
      const x509::Pkcs8 pkcs8(EVP_PKEY2PKCS8(key.get()));
      base::Bytes made(static_cast<std::size_t>(i2d_PKCS8_PRIV_KEY_INFO(pkcs8.get(), nullptr)));
      auto* at = made.data();
      i2d_PKCS8_PRIV_KEY_INFO(pkcs8.get(), &at);
      return made;
    }
  };
  struct Wanted {
    std::string names;  ///< Subject alternative names, as OpenSSL writes them.
    base::WallTime from, until;
    bool authority = false;
    std::string usage = "serverAuth,clientAuth";
    bool ed25519 = true;
  };

  TestAuthority(base::WallTime from, base::WallTime until, bool ed25519 = true)
      : root_(sign({.from = from, .until = until, .authority = true, .ed25519 = ed25519}, nullptr,
                   "root")) {}

  static std::string node_uri(const NodeId& node) {
    return "URI:urn:hypermesh:node:" + node.text();
  }

  Leaf issue(const Wanted& wanted) const { return sign(wanted, &root_, "leaf"); }
  Leaf issue(const NodeId& node, base::WallTime from, base::WallTime until) const {
    return issue({.names = node_uri(node), .from = from, .until = until});
  }
  /// By an authority that this one issued.
  static Leaf issue_below(const Leaf& between, const Wanted& wanted) {
    return sign(wanted, &between, "below");
  }
  base::Bytes der() const { return root_.der(); }
  std::string pem() const { return root_.pem(); }

 private:
  static std::string text(BIO* from) {
    char* at = nullptr;
    const long size = BIO_get_mem_data(from, &at);
    return {at, static_cast<std::size_t>(size)};
  }
  static std::string pem(X509* certificate) {
    const x509::Bio out(BIO_new(BIO_s_mem()));
    PEM_write_bio_X509(out.get(), certificate);
    return text(out.get());
  }
  static base::Bytes der(X509* certificate) {
    base::Bytes made(static_cast<std::size_t>(i2d_X509(certificate, nullptr)));
    auto* at = made.data();
    i2d_X509(certificate, &at);
    return made;
  }
  static void time(ASN1_TIME* field, base::WallTime at) {
    ASN1_TIME_set(field,
                  std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count());
  }

  static Leaf sign(const Wanted& wanted, const Leaf* issuer, const char* name) {
    static std::int64_t serial = 1;
    Leaf made{x509::Certificate(X509_new()),
              x509::Key(wanted.ed25519 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                                       : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"))};
    X509* const certificate = made.certificate.get();
    X509_set_version(certificate, X509_VERSION_3);
    ASN1_INTEGER_set_int64(X509_get_serialNumber(certificate), serial++);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
    X509_set_issuer_name(
        certificate,
        X509_get_subject_name(issuer != nullptr ? issuer->certificate.get() : certificate));
    time(X509_getm_notBefore(certificate), wanted.from);
    time(X509_getm_notAfter(certificate), wanted.until);
    X509_set_pubkey(certificate, made.key.get());
    const auto extend = [&](int nid, const std::string& value) {
      const x509::Extension extension(X509V3_EXT_conf_nid(nullptr, nullptr, nid, value.c_str()));
      X509_add_ext(certificate, extension.get(), -1);
    };
    extend(NID_basic_constraints, wanted.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    extend(NID_key_usage, wanted.authority ? "critical,keyCertSign" : "critical,digitalSignature");
    if (!wanted.authority && !wanted.usage.empty()) extend(NID_ext_key_usage, wanted.usage);
    if (!wanted.names.empty()) extend(NID_subject_alt_name, wanted.names);
    EVP_PKEY* const signer = issuer != nullptr ? issuer->key.get() : made.key.get();
    X509_sign(certificate, signer,
              EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256());
    return made;
  }

  Leaf root_;
};

}  // namespace stoq::testing
