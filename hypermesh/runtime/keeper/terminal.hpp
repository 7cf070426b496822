#pragma once

#include "runtime/keeper/loop.hpp"
#include "runtime/keeper/os.hpp"

namespace hypermesh::keeper {

/// A socket at `path` that the OCI runtime sends a new terminal to (--console-socket).
class TerminalSocket {
 public:
  static base::Result<TerminalSocket> open(std::string path);
  TerminalSocket(TerminalSocket&& other) noexcept
      : path_(std::exchange(other.path_, {})), listener_(std::move(other.listener_)) {}
  ~TerminalSocket();
  const std::string& path() const { return path_; }
  /// The terminal's master. Errors: TimedOut, Internal.
  Job<base::Result<UniqueFd>> receive(Loop& loop);

 private:
  TerminalSocket(std::string path, UniqueFd listener)
      : path_(std::move(path)), listener_(std::move(listener)) {}
  std::string path_;
  UniqueFd listener_;
};

void set_terminal_size(int terminal, std::uint16_t rows, std::uint16_t columns);

}  // namespace hypermesh::keeper
