#pragma once

#include <base/async/task.hpp>
#include <base/bytes.hpp>
#include <optional>
#include <string>

namespace api_client {

struct Output {
  bool is_stderr = false;
  base::Bytes data;
};

/// A process in a container (exec) or a container's own streams (attach). Destroying it ends the
/// session. One task reads, one writes.
class ExecSession {
 public:
  virtual ~ExecSession() = default;
  /// Empty when all output has come.
  virtual base::Task<base::Result<std::optional<Output>>> read_output() = 0;
  virtual base::Task<base::Result<>> write_input(base::BytesView bytes) = 0;
  virtual base::Task<base::Result<>> close_input() = 0;
  virtual base::Task<base::Result<>> resize(std::uint16_t rows, std::uint16_t columns) = 0;
  /// After the output ended: the exit code, 128 + signal for a killed process. Errors: what the
  /// server says (the command could not be run), Unavailable (the connection broke before an
  /// outcome).
  virtual base::Result<int> exit_code() const = 0;
};

}  // namespace api_client
