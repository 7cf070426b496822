#include "audit/verifier.hpp"

#include <fmt/format.h>

namespace nexus {
namespace {

std::unexpected<base::Error> changed(std::uint64_t sequence, std::string_view how) {
  return base::fail(base::Errc::NotVerified,
                    fmt::format("audit record {} was changed: {}", sequence, how));
}

}  // namespace

AuditVerifier::AuditVerifier(const std::vector<TreeHead>& heads) {
  for (const TreeHead& head : heads) heads_.emplace(head.size, head.root);
}

base::Result<> AuditVerifier::feed(base::BytesView bytes) {
  if (failed_) return std::unexpected(*failed_);
  rest_.insert(rest_.end(), bytes.begin(), bytes.end());
  std::size_t at = 0;
  for (;;) {
    const auto taken = take_frame(base::BytesView(rest_).subspan(at));
    if (!taken) {
      failed_ = taken.error();
      return std::unexpected(taken.error());
    }
    if (*taken == 0) break;
    at += *taken;
  }
  rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(at));
  return {};
}

// The bytes of the first frame; 0 when its end is not there yet.
base::Result<std::size_t> AuditVerifier::take_frame(base::BytesView bytes) {
  const std::uint64_t sequence = frontier_.size() + 1;
  base::ByteReader reader(bytes);
  const auto length = reader.u32();
  if (!length) return 0;
  if (*length > kAuditRecordBytesMax) {
    return changed(sequence, fmt::format("its length reads {}; at most {} can be", *length,
                                         kAuditRecordBytesMax));
  }
  if (bytes.size() < *length + kAuditFrameOverhead) return 0;
  const auto encoded = reader.raw(*length).value();
  const auto stored_hash = reader.raw(32).value();
  const base::Digest hash = audit_record_hash(encoded);
  if (!std::equal(hash.begin(), hash.end(), stored_hash.begin())) {
    return changed(sequence, "its bytes do not have the hash that was stored with them");
  }
  const auto record = decode_record(encoded);
  if (!record) return changed(sequence, record.error().message);
  if (record->sequence != sequence)
    return changed(sequence, fmt::format("it says that it is record {}", record->sequence));
  if (record->previous != last_hash_) {
    return changed(sequence, fmt::format("it does not follow record {}", sequence - 1));
  }
  last_hash_ = hash;
  frontier_.append(merkle_leaf_hash(encoded), [](const base::Digest&) {});
  const auto [first, last] = heads_.equal_range(frontier_.size());
  for (auto head = first; head != last; ++head) {
    if (head->second != frontier_.root()) {
      return base::fail(base::Errc::NotVerified,
                        fmt::format("audit record {} or one before it was changed: the signed root "
                                    "of {} records is another",
                                    sequence, sequence));
    }
  }
  return *length + kAuditFrameOverhead;
}

base::Result<> AuditVerifier::finish(const TreeHead& expected) {
  if (failed_) return std::unexpected(*failed_);
  const std::uint64_t next = frontier_.size() + 1;
  if (frontier_.size() < expected.size) {
    if (!rest_.empty()) return changed(next, "the log ends within it, or its length was changed");
    return base::fail(
        base::Errc::NotVerified,
        fmt::format("audit record {} is missing: the log ends before it and had {} records", next,
                    expected.size));
  }
  if (frontier_.size() > expected.size || !rest_.empty()) {
    return base::fail(base::Errc::NotVerified,
                      fmt::format("audit record {} was added behind the last of {}",
                                  expected.size + 1, expected.size));
  }
  if (frontier_.root() != expected.root) {
    return base::fail(base::Errc::NotVerified,
                      fmt::format("the audit log was rewritten: its {} records have another root",
                                  expected.size));
  }
  return {};
}

}  // namespace nexus
