#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <base/freed.hpp>
#include <base/http/certificate.hpp>
#include <ctime>
#include <memory>

namespace base::http {
namespace {

using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;
using Serial = std::unique_ptr<BIGNUM, Freed<BN_free>>;
using Memory = std::unique_ptr<BIO, Freed<BIO_free_all>>;

std::unexpected<Error> openssl_failure(std::string doing) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  return fail(Errc::Internal, fmt::format("{}: {}", doing, text.data()));
}

std::string contents(BIO* memory) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(memory, &data);
  return {data, static_cast<std::size_t>(size)};
}

Result<> add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return openssl_failure("an extension of the certificate");
  }
  return {};
}

bool is_dns_name(std::string_view name) {
  return !name.empty() && name.size() <= 253 &&
         name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") ==
             std::string_view::npos;
}

Result<std::string> alternative_names(const CertificateRequest& request) {
  std::string names;
  const auto add = [&](std::string_view kind, std::string_view value) {
    names += fmt::format("{}{}:{}", names.empty() ? "" : ",", kind, value);
  };
  for (const std::string& name : request.dns_names) {
    if (!is_dns_name(name))
      return fail(Errc::InvalidArgument, fmt::format("\"{}\" is not a host name", name));
    add("DNS", name);
  }
  for (const std::string& address : request.addresses) {
    std::array<std::uint8_t, 16> binary{};
    if (inet_pton(AF_INET6, address.c_str(), binary.data()) != 1 &&
        inet_pton(AF_INET, address.c_str(), binary.data()) != 1) {
      return fail(Errc::InvalidArgument, fmt::format("\"{}\" is not an IP address", address));
    }
    add("IP", address);
  }
  if (names.empty()) return fail(Errc::InvalidArgument, "a certificate needs a name or an address");
  return names;
}

}  // namespace

Result<KeyedCertificate> make_self_signed(const CertificateRequest& request) {
  TRY(const std::string names, alternative_names(request));
  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  if (!key || !certificate) return openssl_failure("a new key");

  const Serial serial(BN_new());
  if (!serial || BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1 ||
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get())) == nullptr) {
    return openssl_failure("a serial number");
  }
  const auto set_time = [](ASN1_TIME* target, WallTime time) {
    return ASN1_TIME_set(
               target,
               std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count()) !=
           nullptr;
  };
  X509_NAME* subject = X509_get_subject_name(certificate.get());
  const auto* common = reinterpret_cast<const unsigned char*>(request.common_name.c_str());
  if (X509_set_version(certificate.get(), X509_VERSION_3) != 1 ||
      !set_time(X509_getm_notBefore(certificate.get()), request.not_before) ||
      !set_time(X509_getm_notAfter(certificate.get()), request.not_after) ||
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, common, -1, -1, 0) != 1 ||
      X509_set_issuer_name(certificate.get(), subject) != 1 ||
      X509_set_pubkey(certificate.get(), key.get()) != 1) {
    return openssl_failure("the fields of the certificate");
  }
  TRY_DO(add_extension(certificate.get(), NID_subject_alt_name, names));
  TRY_DO(add_extension(certificate.get(), NID_basic_constraints, "critical,CA:FALSE"));
  TRY_DO(add_extension(certificate.get(), NID_key_usage, "critical,digitalSignature"));
  TRY_DO(add_extension(certificate.get(), NID_ext_key_usage, "serverAuth"));
  TRY_DO(add_extension(certificate.get(), NID_subject_key_identifier, "hash"));
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) {
    return openssl_failure("signing the certificate");
  }

  const Memory certificate_text(BIO_new(BIO_s_mem()));
  const Memory key_text(BIO_new(BIO_s_secmem()));
  if (!certificate_text || !key_text ||
      PEM_write_bio_X509(certificate_text.get(), certificate.get()) != 1 ||
      PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                    nullptr) != 1) {
    return openssl_failure("writing the certificate");
  }
  return KeyedCertificate{contents(certificate_text.get()), contents(key_text.get())};
}

Result<CertificateFacts> read_certificate(std::string_view pem) {
  const Memory memory(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Certificate certificate(memory ? PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr)
                                       : nullptr);
  if (!certificate) return fail(Errc::InvalidArgument, "not a certificate in PEM");
  CertificateFacts facts;
  std::tm end{};
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1) {
    return fail(Errc::InvalidArgument, "the certificate's end is not a time");
  }
  facts.not_after =
      std::chrono::time_point_cast<Duration>(std::chrono::system_clock::from_time_t(timegm(&end)));
  const std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    const ASN1_STRING* value = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    if (name->type == GEN_DNS) {
      facts.dns_names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                                   static_cast<std::size_t>(ASN1_STRING_length(value)));
    } else if (name->type == GEN_IPADD) {
      std::array<char, INET6_ADDRSTRLEN> text{};
      const int bytes = ASN1_STRING_length(value);
      if (bytes != 4 && bytes != 16) continue;
      const int family = bytes == 4 ? AF_INET : AF_INET6;
      if (inet_ntop(family, ASN1_STRING_get0_data(value), text.data(), text.size()) != nullptr) {
        facts.addresses.emplace_back(text.data());
      }
    }
  }
  return facts;
}

}  // namespace base::http
