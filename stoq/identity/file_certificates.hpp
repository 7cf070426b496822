#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <stoq/certificates.hpp>

#include "identity/authority.hpp"

namespace stoq {

/// Certificates that somebody else issues and renews, in a folder:
///   authority.pem    whom to believe, one certificate or several
///   certificate.pem  ours, the leaf first, then the authorities between it and one of those
///   key.pem          the leaf's Ed25519 key, PKCS #8 without a password, for its owner alone
/// Files that were replaced are read again at a handshake, the folder being looked at every few
/// seconds; put them there by renaming. What cannot be used is refused as a whole, and what was
/// used before stays: see problem().
class FileCertificates final : public CertificateProvider, public AuthoritySource {
 public:
  static constexpr auto kLookEvery = std::chrono::seconds(5);
  static constexpr std::size_t kFileBytesMax = 128 * 1024;

  /// Told why replaced files are not used, at a handshake, on any core.
  using Report = std::function<void(const base::Error&)>;

  /// `report` may be empty. Errors: those of the file system, FailedPrecondition (the key can be
  /// read by others), InvalidArgument (which file holds what it should not), NotVerified (the
  /// certificate does not hold by the authority, or is of another node than `self`).
  static base::Result<std::unique_ptr<FileCertificates>> open(std::filesystem::path folder,
                                                              const NodeId& self,
                                                              base::WallTime now,
                                                              Report report = {});

  base::Result<std::shared_ptr<const CertificateChain>> current(base::WallTime now) override;
  base::Result<std::shared_ptr<const Authorities>> authorities(base::WallTime now) override;
  /// Why what is in the folder now is not used; empty when it is.
  std::optional<base::Error> problem() const;

 private:
  struct Loaded {
    std::shared_ptr<const CertificateChain> chain;
    std::shared_ptr<const Authorities> authorities;
  };
  /// What tells a file that was replaced.
  struct Stamp {
    std::uint64_t inode = 0, bytes = 0;
    std::int64_t changed = 0;  ///< Nanoseconds.
    bool operator==(const Stamp&) const = default;
  };
  using Stamps = std::array<Stamp, 3>;

  FileCertificates(std::filesystem::path folder, const NodeId& self, Report report)
      : folder_(std::move(folder)), self_(self), report_(std::move(report)) {}
  base::Result<Loaded> load(base::WallTime now) const;
  Stamps stamps() const;
  void look(base::WallTime now);

  std::filesystem::path folder_;
  NodeId self_;
  Report report_;
  mutable std::mutex mutex_;
  Loaded loaded_;
  Stamps stamps_{};
  base::WallTime looked_{};
  std::optional<base::Error> problem_;
};

}  // namespace stoq
