#include "identity/identity_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace stoq {

using base::Errc;
using base::fail;
using base::Result;

namespace {

struct File {
  int fd = -1;
  ~File() {
    if (fd >= 0) close(fd);
  }
};

Identity identity_of(base::SigningKey key) {
  const NodeId id = NodeId::of(key.public_key());
  return {std::move(key), id};
}

Result<Identity> read_identity(int fd, const std::string& path) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return base::fail_errno(errno, path);
  if ((info.st_mode & 077) != 0) {
    return std::unexpected(base::with_hint(
        base::make_error(Errc::Forbidden,
                         fmt::format("{}: others may read the node's private key (mode {:o})", path,
                                     info.st_mode & 0777)),
        fmt::format("chmod 600 {}", path)));
  }
  std::string text(128, '\0');
  const ssize_t size = read(fd, text.data(), text.size());
  if (size < 0) return base::fail_errno(errno, path);
  text.resize(static_cast<std::size_t>(size));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  auto seed = base::from_hex(text);
  base::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!seed || seed->size() != 32)
    return fail(Errc::DataLoss, path + ": holds no Ed25519 seed (64 hexadecimal digits)");
  auto key = base::SigningKey::from_seed(*seed);
  base::wipe(*seed);
  TRY(base::SigningKey signing, std::move(key));
  return identity_of(std::move(signing));
}

}  // namespace

Result<Identity> open_identity(const std::string& path, base::Rng& rng) {
  if (File file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)}; file.fd >= 0)
    return read_identity(file.fd, path);
  if (errno != ENOENT) return base::fail_errno(errno, path);

  Identity identity = identity_of(base::SigningKey::generate(rng));
  const std::string temporary = path + ".new";
  std::string text = base::to_hex(identity.key.seed()) + "\n";
  File file{open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (file.fd < 0) return base::fail_errno(errno, temporary);
  const bool written =
      write(file.fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
      fsync(file.fd) == 0;
  const int write_error = errno;
  base::wipe({reinterpret_cast<std::uint8_t*>(text.data()), text.size()});
  if (!written) return base::fail_errno(write_error, temporary);
  if (rename(temporary.c_str(), path.c_str()) != 0) return base::fail_errno(errno, path);
  // The name itself must survive a power failure: an identity that was used may not change.
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == path.npos ? "." : path.substr(0, slash + 1);
  if (File parent{open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
      parent.fd < 0 || fsync(parent.fd) != 0) {
    return base::fail_errno(errno, folder);
  }
  return identity;
}

}  // namespace stoq
