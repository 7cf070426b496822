#include "audit/audit_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "audit/verifier.hpp"

namespace nexus {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
// A clock that was set back makes old records look younger; a search goes on for so many records.
constexpr std::size_t kClockSlackRecords = 1000;

base::Result<base::Bytes> read_at(int fd, std::uint64_t offset, std::size_t bytes,
                                  std::string_view what) {
  base::Bytes buffer(bytes);
  std::size_t done = 0;
  while (done < bytes) {
    const auto count =
        ::pread(fd, buffer.data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::fail_errno(errno, fmt::format("read {}", what));
    if (count == 0)
      return base::fail(base::Errc::DataLoss, fmt::format("{} ends at {}; {} bytes were expected",
                                                          what, offset + done, offset + bytes));
    done += static_cast<std::size_t>(count);
  }
  return buffer;
}

base::Result<> write_at(int fd, std::uint64_t offset, base::BytesView bytes,
                        std::string_view what) {
  while (!bytes.empty()) {
    const auto count = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return base::fail_errno(errno, fmt::format("write {}", what));
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return {};
}

base::Result<std::uint64_t> size_of(int fd, std::string_view what) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return base::fail_errno(errno, fmt::format("look at {}", what));
  return static_cast<std::uint64_t>(status.st_size);
}

base::Result<> cut(int fd, std::uint64_t bytes, std::string_view what) {
  if (::ftruncate(fd, static_cast<off_t>(bytes)) != 0)
    return base::fail_errno(errno, fmt::format("cut {}", what));
  return {};
}

base::Result<> sync(int fd, std::string_view what) {
  if (::fdatasync(fd) != 0) return base::fail_errno(errno, fmt::format("bring {} to disk", what));
  return {};
}

bool matches(const AuditQuery& query, const AuditEntry& entry) {
  const auto is = [](const std::string& wanted, const std::string& found) {
    return wanted.empty() || wanted == found;
  };
  const bool object = query.object.ends_with('/') ? entry.object.starts_with(query.object)
                                                  : is(query.object, entry.object);
  return object && is(query.who, entry.who) && is(query.name_space, entry.name_space) &&
         is(query.action, entry.action) && is(query.result, entry.result) &&
         (!query.since || entry.time >= *query.since) &&
         (!query.until || entry.time < *query.until);
}

}  // namespace

base::Result<std::unique_ptr<AuditFiles>> AuditFiles::open(const std::filesystem::path& folder,
                                                           base::Log log) {
  std::error_code made;
  std::filesystem::create_directories(folder, made);
  if (made) return base::fail_errno(made.value(), "make the audit folder " + folder.string());
  std::unique_ptr<AuditFiles> files(new AuditFiles);
  files->folder_ = folder;
  files->log_ = std::move(log);
  for (const auto& [name, fd] : {std::pair{"audit.log", &files->log_fd_},
                                 {"audit.nodes", &files->nodes_fd_},
                                 {"audit.offsets", &files->offsets_fd_},
                                 {"audit.heads", &files->heads_fd_}}) {
    *fd = ::open((folder / name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) return base::fail_errno(errno, "open " + (folder / name).string());
  }
  return files;
}

AuditFiles::~AuditFiles() {
  for (const int fd : {log_fd_, nodes_fd_, offsets_fd_, heads_fd_}) {
    if (fd >= 0) ::close(fd);
  }
}

base::Result<> AuditFiles::resume(const AuditCheckpoint& checkpoint, const AuditGrowth& growth) {
  records_ = checkpoint.records;
  log_bytes_ = checkpoint.log_bytes;
  node_bytes_ = merkle_nodes_written(checkpoint.records) * 32;
  offset_bytes_ = checkpoint.records * 8;
  TRY(const auto found, size_of(log_fd_, "audit.log"));
  if (found < log_bytes_) {
    log_.error("audit.log is shorter than what was written to it",
               {{"bytes", found}, {"bytes_written", log_bytes_}, {"see", "hm audit verify --all"}});
  } else {
    const std::uint64_t rest = found - log_bytes_;
    const std::size_t common =
        static_cast<std::size_t>(std::min<std::uint64_t>(rest, growth.frames.size()));
    TRY(const auto tail, read_at(log_fd_, log_bytes_, common, "audit.log"));
    if (rest > growth.frames.size() ||
        !std::equal(tail.begin(), tail.end(), growth.frames.begin())) {
      TRY_DO(keep_aside(log_fd_, "audit.log", log_bytes_, found));
    }
  }
  // A log that is too short is filled up with zeros here, and `verify` names the first record that
  // they cover.
  TRY_DO(cut(log_fd_, log_bytes_, "audit.log"));
  TRY_DO(cut(nodes_fd_, node_bytes_, "audit.nodes"));
  TRY_DO(cut(offsets_fd_, offset_bytes_, "audit.offsets"));
  TRY(const auto head_bytes, size_of(heads_fd_, "audit.heads"));
  head_bytes_ = head_bytes - head_bytes % kSignedTreeHeadBytes;
  // A state without any record begins a new log; heads of another one are no part of it.
  if (checkpoint.records == 0 && growth.frames.empty() && head_bytes_ > 0) {
    TRY_DO(keep_aside(heads_fd_, "audit.heads", 0, head_bytes_));
    head_bytes_ = 0;
    TRY_DO(cut(heads_fd_, 0, "audit.heads"));
  }
  return {};
}

base::Result<std::uint64_t> AuditFiles::put_lost_heads_aside(std::uint64_t records) {
  const auto all = heads();
  if (!all) return 0;  // `verify` says what is wrong with them
  const auto first = std::ranges::find_if(
      *all, [&](const SignedTreeHead& head) { return head.head.size > records; });
  if (first == all->end()) return 0;
  std::uint64_t highest = 0;
  for (auto head = first; head != all->end(); ++head) highest = std::max(highest, head->head.size);
  const auto kept = static_cast<std::uint64_t>(first - all->begin()) * kSignedTreeHeadBytes;
  TRY_DO(keep_aside(heads_fd_, "audit.heads", kept, head_bytes_));
  TRY_DO(cut(heads_fd_, kept, "audit.heads"));
  head_bytes_ = kept;
  return highest - records;
}

base::Result<> AuditFiles::keep_aside(int from_fd, std::string_view name, std::uint64_t from,
                                      std::uint64_t end) const {
  std::filesystem::path aside;
  int fd = -1;
  for (int number = 1; fd < 0 && (number == 1 || errno == EEXIST); ++number) {
    aside = folder_ / fmt::format("{}.aside-{}", name, number);
    fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  }
  if (fd < 0) return base::fail_errno(errno, "make " + aside.string());
  base::Result<> kept;
  for (std::uint64_t at = from; kept && at < end; at += kReadBytes) {
    const auto bytes = read_at(
        from_fd, at, static_cast<std::size_t>(std::min<std::uint64_t>(kReadBytes, end - at)), name);
    kept = bytes ? write_at(fd, at - from, *bytes, aside.string()) : std::unexpected(bytes.error());
  }
  if (kept) kept = sync(fd, aside.string());
  ::close(fd);
  log_.warning("what the state knows nothing of was kept aside",
               {{"file", aside.string()}, {"bytes", end - from}});
  return kept;
}

base::Result<> AuditFiles::append(const AuditGrowth& growth, const SignedTreeHead& head) {
  TRY_DO(write_at(log_fd_, log_bytes_, growth.frames, "audit.log"));
  TRY_DO(write_at(nodes_fd_, node_bytes_, growth.nodes, "audit.nodes"));
  TRY_DO(write_at(offsets_fd_, offset_bytes_, growth.offsets, "audit.offsets"));
  TRY_DO(write_at(heads_fd_, head_bytes_, encode_signed_tree_head(head), "audit.heads"));
  TRY_DO(sync(log_fd_, "audit.log"));
  TRY_DO(sync(nodes_fd_, "audit.nodes"));
  TRY_DO(sync(offsets_fd_, "audit.offsets"));
  TRY_DO(sync(heads_fd_, "audit.heads"));
  log_bytes_ += growth.frames.size();
  node_bytes_ += growth.nodes.size();
  offset_bytes_ += growth.offsets.size();
  head_bytes_ += kSignedTreeHeadBytes;
  records_ += growth.offsets.size() / 8;
  return {};
}

base::Result<std::uint64_t> AuditFiles::offset_of(std::uint64_t sequence) const {
  if (sequence == records_ + 1) return log_bytes_;
  TRY(const auto bytes, read_at(offsets_fd_, (sequence - 1) * 8, 8, "audit.offsets"));
  base::ByteReader reader(bytes);
  return reader.u64();
}

base::Result<base::Bytes> AuditFiles::read(std::uint64_t sequence) const {
  if (sequence == 0 || sequence > records_) {
    return base::fail(
        base::Errc::NotFound,
        fmt::format("there is no audit record {}; the log holds 1 to {}", sequence, records_));
  }
  TRY(const auto begin, offset_of(sequence));
  TRY(const auto end, offset_of(sequence + 1));
  if (end < begin + kAuditFrameOverhead ||
      end - begin > kAuditRecordBytesMax + kAuditFrameOverhead) {
    return base::fail(base::Errc::DataLoss, fmt::format("audit.offsets puts record {} at {} to {}",
                                                        sequence, begin, end));
  }
  return read_at(log_fd_, begin + 4, static_cast<std::size_t>(end - begin - kAuditFrameOverhead),
                 "audit.log");
}

base::Result<base::Digest> AuditFiles::node(MerkleNode node) const {
  TRY(const auto bytes, read_at(nodes_fd_, merkle_node_position(node) * 32, 32, "audit.nodes"));
  base::Digest digest;
  std::copy(bytes.begin(), bytes.end(), digest.begin());
  return digest;
}

base::Result<std::vector<AuditRecord>> AuditFiles::list(const AuditQuery& query) const {
  std::vector<AuditRecord> found;
  std::size_t too_old = 0;
  const auto visit = [&](std::uint64_t sequence) -> base::Result<bool> {
    TRY(const auto encoded, read(sequence));
    auto record = decode_record(encoded);
    if (!record) {
      return base::fail(base::Errc::DataLoss, fmt::format("audit record {} cannot be read: {}",
                                                          sequence, record.error().message));
    }
    too_old = query.since && record->entry.time < *query.since ? too_old + 1 : 0;
    if (matches(query, record->entry)) found.push_back(*std::move(record));
    return found.size() < query.limit && (!query.newest_first || too_old < kClockSlackRecords);
  };
  if (query.limit == 0) return found;
  if (query.newest_first) {
    for (std::uint64_t sequence = records_; sequence > query.after; --sequence) {
      TRY(const bool more, visit(sequence));
      if (!more) break;
    }
  } else {
    for (std::uint64_t sequence = query.after + 1; sequence <= records_; ++sequence) {
      TRY(const bool more, visit(sequence));
      if (!more) break;
    }
  }
  return found;
}

base::Result<std::vector<SignedTreeHead>> AuditFiles::heads() const {
  std::vector<SignedTreeHead> heads;
  for (std::uint64_t at = 0; at < head_bytes_; at += kSignedTreeHeadBytes) {
    TRY(const auto bytes, read_at(heads_fd_, at, kSignedTreeHeadBytes, "audit.heads"));
    TRY(const auto head, decode_signed_tree_head(bytes));
    heads.push_back(head);
  }
  return heads;
}

base::Result<> AuditFiles::verify(const TreeHead& expected, const base::PublicKey& signer) const {
  TRY(const auto signed_heads, heads());
  std::vector<TreeHead> on_the_way;
  for (const SignedTreeHead& head : signed_heads) {
    if (head.key != signer) {
      return base::fail(
          base::Errc::NotVerified,
          fmt::format("the audit tree head of {} records is signed by a stranger", head.head.size));
    }
    TRY_DO(verify_tree_head(head));
    if (head.head.size > expected.size) {
      return std::unexpected(base::with_hint(
          base::make_error(base::Errc::NotVerified,
                           fmt::format("a signed head covers {} audit records; the log has {}",
                                       head.head.size, expected.size)),
          "records are gone; a start with storage.fsync off takes that for a loss of power, writes "
          "it into the log and puts such heads aside"));
    }
    on_the_way.push_back(head.head);
  }
  AuditVerifier verifier(on_the_way);
  TRY(const auto size, size_of(log_fd_, "audit.log"));
  for (std::uint64_t at = 0; at < size; at += kReadBytes) {
    TRY(const auto bytes,
        read_at(log_fd_, at,
                static_cast<std::size_t>(std::min<std::uint64_t>(kReadBytes, size - at)),
                "audit.log"));
    TRY_DO(verifier.feed(bytes));
  }
  return verifier.finish(expected);
}

}  // namespace nexus
