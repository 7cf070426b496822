#include "identity/authority.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "identity/x509.hpp"

namespace stoq {

using base::Errc;
using base::fail;
using base::Result;
using x509::Certificate;

namespace {

constexpr std::string_view kNodeUri = "urn:hypermesh:node:";

Result<Certificate> decode(base::BytesView der) {
  if (der.size() > AuthorityVerifier::kCertificateBytesMax) {
    return fail(Errc::NotVerified,
                fmt::format("a certificate has {} bytes; at most {} are read", der.size(),
                            AuthorityVerifier::kCertificateBytesMax));
  }
  const auto* at = der.data();
  Certificate made(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (!made || at != der.data() + der.size())
    return fail(Errc::NotVerified, "a certificate is not X.509");
  return made;
}

Result<NodeId> node_of(const X509* leaf) {
  const x509::Names names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
  std::optional<NodeId> node;
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type != GEN_URI) continue;
    const ASN1_IA5STRING* text = name->d.uniformResourceIdentifier;
    const std::string_view uri(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                               static_cast<std::size_t>(ASN1_STRING_length(text)));
    if (!uri.starts_with(kNodeUri)) continue;
    if (node) return fail(Errc::NotVerified, "the certificate names more than one node");
    auto parsed = NodeId::parse(uri.substr(kNodeUri.size()));
    if (!parsed) {
      return fail(Errc::NotVerified,
                  "the certificate names a node that is none: " + parsed.error().message);
    }
    node = *parsed;
  }
  if (!node) {
    return fail(Errc::NotVerified,
                fmt::format("the certificate names no node: its authority has to put "
                            "URI:{}<NodeId> into the subject's alternative names",
                            kNodeUri));
  }
  return *node;
}

}  // namespace

Result<VerifiedLeaf> verify_by_authority(const Authorities& authorities,
                                         std::span<const base::BytesView> chain) {
  if (chain.empty()) return fail(Errc::NotVerified, "the peer showed no certificate");
  if (chain.size() > AuthorityVerifier::kChainMax) {
    return fail(Errc::NotVerified,
                fmt::format("the peer showed {} certificates; at most {} are read", chain.size(),
                            AuthorityVerifier::kChainMax));
  }
  std::vector<Certificate> shown;
  for (const auto& der : chain) {
    TRY(shown.emplace_back(), decode(der));
  }
  const x509::Store store(X509_STORE_new());
  for (const auto& der : authorities) {
    TRY(const Certificate authority, decode(der));
    if (X509_STORE_add_cert(store.get(), authority.get()) != 1)
      return fail(Errc::ResourceExhausted, "no memory for an authority");
  }
  struct StackFree {
    void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
  };
  const std::unique_ptr<STACK_OF(X509), StackFree> between(sk_X509_new_null());
  for (std::size_t i = 1; i < shown.size(); ++i) sk_X509_push(between.get(), shown[i].get());
  VerifiedLeaf leaf;
  for (const int purpose : {X509_PURPOSE_SSL_CLIENT, X509_PURPOSE_SSL_SERVER}) {
    const x509::StoreContext context(X509_STORE_CTX_new());
    if (!context ||
        X509_STORE_CTX_init(context.get(), store.get(), shown.front().get(), between.get()) != 1) {
      return fail(Errc::ResourceExhausted, "no memory to verify a certificate");
    }
    // The time is ours to judge: what is remembered is judged again at every handshake. An
    // intermediate authority may be what is trusted.
    auto* parameters = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_NO_CHECK_TIME | X509_V_FLAG_PARTIAL_CHAIN);
    X509_VERIFY_PARAM_set_depth(parameters, static_cast<int>(AuthorityVerifier::kChainMax));
    X509_VERIFY_PARAM_set_purpose(parameters, purpose);
    if (X509_verify_cert(context.get()) != 1) {
      return fail(
          Errc::NotVerified,
          fmt::format("the authority does not vouch for the certificate: {}",
                      X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))));
    }
    leaf.from = base::WallTime::min();
    leaf.until = base::WallTime::max();
    const STACK_OF(X509)* path = X509_STORE_CTX_get0_chain(context.get());
    for (int i = 0; i < sk_X509_num(path); ++i) {
      TRY(const auto from, x509::wall_time(X509_get0_notBefore(sk_X509_value(path, i))));
      TRY(const auto until, x509::wall_time(X509_get0_notAfter(sk_X509_value(path, i))));
      leaf.from = std::max(leaf.from, from);
      leaf.until = std::min(leaf.until, until);
    }
  }
  TRY(leaf.node, node_of(shown.front().get()));
  return leaf;
}

Result<NodeId> AuthorityVerifier::verify(std::span<const base::BytesView> chain,
                                         base::WallTime now) {
  if (chain.empty()) return fail(Errc::NotVerified, "the peer showed no certificate");
  TRY(const auto authorities, source_.authorities(now));
  {
    const std::lock_guard lock(mutex_);
    if (authorities_ != authorities) {
      leaves_.clear();
      authorities_ = authorities;
    }
  }
  const base::Digest digest = base::sha256(chain.front());
  auto leaf = leaves_.find(digest);
  if (!leaf) {
    TRY(leaf, verify_by_authority(*authorities, chain));
    const std::lock_guard lock(mutex_);
    if (authorities_ == authorities) leaves_.remember(digest, *leaf);
  }
  return holds(*leaf, now, revocations_);
}

}  // namespace stoq
