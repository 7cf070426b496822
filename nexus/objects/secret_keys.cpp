#include "objects/secret_keys.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace nexus {
namespace {

constexpr std::string_view kHeader = "hypermesh secret keys 1\n";
constexpr std::size_t kFileBytesMax = 64 * 1024;

// Empty: there is no such file. One that others can read is refused.
base::Result<std::optional<std::string>> read_private_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0 && errno == ENOENT) return std::optional<std::string>();
  if (fd < 0) return base::fail_errno(errno, "open " + path.string());
  struct stat status{};
  std::string text(kFileBytesMax, '\0');
  const bool seen = ::fstat(fd, &status) == 0;
  const auto count = ::read(fd, text.data(), text.size());
  const int error_number = errno;
  ::close(fd);
  if (!seen || count < 0) return base::fail_errno(error_number, "read " + path.string());
  if ((status.st_mode & 077) != 0) {
    auto error = base::make_error(
        base::Errc::Forbidden, fmt::format("{} holds keys and can be read by others (mode {:04o})",
                                           path.string(), status.st_mode & 07777));
    return std::unexpected(
        base::with_hint(std::move(error), fmt::format("chmod 600 {}", path.string())));
  }
  text.resize(static_cast<std::size_t>(count));
  return text;
}

// Whole or not at all: written aside, brought to disk, then named.
base::Result<> write_private_file(const std::filesystem::path& path, std::string_view text) {
  const std::string aside = path.string() + ".new";
  const int fd = ::open(aside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return base::fail_errno(errno, "make " + aside);
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd) == 0;
  const int error_number = errno == 0 ? ENOSPC : errno;
  ::close(fd);
  if (!written) {
    ::unlink(aside.c_str());
    return base::fail_errno(error_number, "write " + aside);
  }
  if (::rename(aside.c_str(), path.c_str()) != 0)
    return base::fail_errno(errno, "name " + path.string());
  const int folder = ::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return base::fail_errno(errno, "open " + path.parent_path().string());
  const bool synced = ::fsync(folder) == 0;
  const int sync_error = errno;
  ::close(folder);
  if (!synced)
    return base::fail_errno(sync_error, "bring " + path.parent_path().string() + " to disk");
  return {};
}

base::Result<> make_parent(const std::filesystem::path& path) {
  std::error_code made;
  std::filesystem::create_directories(path.parent_path(), made);
  if (made) return base::fail_errno(made.value(), "make " + path.parent_path().string());
  return {};
}

base::SecretBytes random_key(base::Rng& rng) {
  base::Bytes bytes(base::kSealKeyBytes);
  rng.fill(bytes);
  return base::SecretBytes(std::move(bytes));
}

}  // namespace

base::Result<SecretKeys> SecretKeys::from_file(const std::filesystem::path& path, base::Rng& rng) {
  SecretKeys keys;
  keys.path_ = path;
  TRY(auto text, read_private_file(path));
  if (!text) {
    TRY_DO(make_parent(path));
    keys.add(random_key(rng));
    TRY_DO(keys.save());
    return keys;
  }
  const auto damaged = [&](std::string_view how) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the key file {} is damaged: {}", path.string(), how));
  };
  std::string_view rest = *text;
  if (!rest.starts_with(kHeader))
    return damaged("it does not start with \"hypermesh secret keys 1\"");
  rest.remove_prefix(kHeader.size());
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos) return damaged("its last line is cut");
    auto bytes = base::from_base64(rest.substr(0, end));
    if (!bytes || bytes->size() != base::kSealKeyBytes) return damaged("a line holds no key");
    keys.add(base::SecretBytes(std::move(*bytes)));
    rest.remove_prefix(end + 1);
  }
  base::wipe({reinterpret_cast<std::uint8_t*>(text->data()), text->size()});
  if (keys.keys_.empty()) return damaged("it holds no key");
  return keys;
}

void SecretKeys::add(base::SecretBytes bytes) {
  // The id tells keys apart and gives nothing away: it is the start of a hash under a name of its
  // own.
  base::Sha256 hash;
  hash.update(base::as_bytes("hypermesh secret key id"));
  hash.update(bytes.view());
  const base::Digest digest = hash.finish();
  Key key{{}, std::move(bytes)};
  std::copy_n(digest.begin(), key.id.size(), key.id.begin());
  keys_.push_back(std::move(key));
}

base::Result<> SecretKeys::save() const {
  std::string text(kHeader);
  for (const Key& key : keys_) text += base::to_base64(key.bytes.view()) + "\n";
  const auto written = write_private_file(path_, text);
  base::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  return written;
}

base::Result<> SecretKeys::rotate(base::Rng& rng) {
  add(random_key(rng));
  auto saved = save();
  if (!saved) keys_.pop_back();
  return saved;
}

base::Bytes SecretKeys::seal(base::BytesView plain, std::string_view context,
                             base::Rng& rng) const {
  return base::seal(keys_.back().bytes.view(), plain, base::as_bytes(context), rng);
}

base::Result<base::Bytes> SecretKeys::open(const SecretKeyId& id, base::BytesView sealed,
                                           std::string_view context) const {
  const auto key = std::ranges::find(keys_, id, &Key::id);
  if (key == keys_.end()) {
    auto error =
        base::make_error(base::Errc::FailedPrecondition,
                         fmt::format("sealed with key {}; {} holds key {}", base::to_hex(id),
                                     path_.string(), base::to_hex(keys_.back().id)));
    return std::unexpected(base::with_hint(
        std::move(error), "bring back the key file that this state was written with"));
  }
  return base::open_sealed(key->bytes.view(), sealed, base::as_bytes(context));
}

}  // namespace nexus
