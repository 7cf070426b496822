#pragma once

// The person's terminal while a program in a container has it.

#include <termios.h>

#include <atomic>
#include <base/async/channel.hpp>
#include <base/async/task.hpp>
#include <base/bytes.hpp>
#include <memory>
#include <optional>
#include <thread>

namespace cli {

/// Every key goes through as it is, until the object goes.
class RawTerminal {
 public:
  /// `fd` must be a terminal; anything else is left alone.
  explicit RawTerminal(int fd);
  ~RawTerminal();
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;

 private:
  int fd_;
  std::optional<termios> before_;
};

struct TerminalSize {
  std::uint16_t rows = 24, columns = 80;
};
TerminalSize terminal_size(int fd);

/// Reads a descriptor that is shared with other programs: without making it non-blocking for them,
/// by a thread of its own that holds at most one piece.
class InputReader {
 public:
  InputReader(const base::Executor& executor, int fd);
  /// Ends the thread, also while it waits for input.
  ~InputReader();
  InputReader(const InputReader&) = delete;
  InputReader& operator=(const InputReader&) = delete;

  /// Some bytes; empty at the end of input.
  base::Task<base::Bytes> read();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
  std::thread thread_;
};

}  // namespace cli
