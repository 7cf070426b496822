#pragma once

// A container's streams: what it writes goes to its log and to whoever is attached; what the
// attached write goes to its input. A container that floods is read at a bounded rate, and waits;
// the keeper does not.

#include <memory>
#include <optional>
#include <vector>

#include "runtime/core/cri_log.hpp"
#include "runtime/core/keeper_protocol.hpp"
#include "runtime/keeper/log_file.hpp"
#include "runtime/keeper/loop.hpp"
#include "runtime/keeper/os.hpp"

namespace hypermesh::keeper {

/// Sustained rate at which one container's output is read; a second's worth may come at once.
inline constexpr std::uint64_t kOutputBytesPerSecondMax = 32u << 20;
inline constexpr std::size_t kAttachmentsMax = 16;  ///< Of one container.
inline constexpr int kAttachBufferBytes = 1 << 20;  ///< What a slow reader may lag behind.
inline constexpr std::size_t kInputWaitingBytesMax = 64u << 10;

/// The ends that the container gets; closed in the keeper once it runs.
struct ContainerEnds {
  UniqueFd in, out, err;
};

class ContainerIo {
 public:
  /// `clock` is borrowed.
  ContainerIo(Loop& loop, const base::Clock& clock, LogFile log)
      : loop_(loop), clock_(clock), log_(std::move(log)) {}
  ~ContainerIo();
  ContainerIo(const ContainerIo&) = delete;

  /// Makes pipes that belong to the container's root, who can then open /proc/1/fd/1 again.
  base::Result<ContainerEnds> open_pipes(bool with_input, uid_t root, gid_t root_group);
  /// Takes the terminal that the OCI runtime made.
  base::Result<> use_terminal(UniqueFd master);
  /// Begins to read. Call once the container runs.
  base::Result<> start();
  /// Reads what is left and ends everything. The container's processes are dead.
  void finish();

  /// The client's end of a packet socket. Errors: ResourceExhausted (too many).
  base::Result<UniqueFd> attach();

 private:
  struct Stream {
    UniqueFd fd;
    LogLines lines;
    bool is_stderr;
    bool open = false;
  };
  struct Attachment {
    UniqueFd socket;
    std::string waiting;      ///< Input that the container does not take yet.
    bool ends_input = false;  ///< After what waits.
    bool retrying = false;    ///< A timer is set for what waits.
  };

  void read_stream(Stream& stream, bool to_the_end);
  void close_stream(Stream& stream);
  void pause();
  void copy_to_attached(bool is_stderr, std::string_view data);
  void read_attached(const std::shared_ptr<Attachment>& attachment);
  void write_input(const std::shared_ptr<Attachment>& attachment);
  void detach(std::shared_ptr<Attachment> attachment);
  std::string note_time() const;

  Loop& loop_;
  const base::Clock& clock_;
  LogFile log_;
  Stream out_{{}, LogLines(false), false}, err_{{}, LogLines(true), true};
  UniqueFd input_;  ///< Of pipes. A terminal's input is out_.fd.
  bool terminal_ = false;
  std::vector<std::shared_ptr<Attachment>> attached_;
  std::uint64_t budget_ = kOutputBytesPerSecondMax;
  base::MonotonicTime budget_time_{};
  TimerId resume_ = 0;
};

}  // namespace hypermesh::keeper
