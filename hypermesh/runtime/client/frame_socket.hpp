#pragma once

// Frames with descriptors over a unix stream socket, as far as both clients need it: bytes in,
// frames out.

#include <deque>
#include <optional>
#include <vector>

#include "datapath/unique_fd.hpp"
#include "runtime/core/keeper_protocol.hpp"

namespace hypermesh {

using datapath::UniqueFd;

struct Frame {
  keeper::FrameHeader header;
  base::Bytes body;
  std::vector<UniqueFd> fds;
};

/// Puts frames together from what arrives.
class FrameReader {
 public:
  /// Reads once. True: there may be a frame. False: nothing is there now (a socket that does not
  /// block). Errors: Unavailable (the other side closed), those of the socket.
  base::Result<bool> read(int socket);
  /// The next whole frame. Errors: DataLoss (no frame of ours; the connection is of no more use).
  base::Result<std::optional<Frame>> next();

 private:
  base::Bytes bytes_;
  std::deque<UniqueFd> fds_;
};

/// A frame on its way out; its descriptors go with the first byte.
struct FrameWriter {
  FrameWriter(keeper::FrameKind kind, std::uint64_t id, const base::Bytes& body,
              std::vector<UniqueFd> fds);
  /// Writes once. True when all is out; false: more later (a socket that does not block).
  base::Result<bool> write(int socket);

  base::Bytes bytes;
  std::size_t sent = 0;
  std::vector<UniqueFd> fds;
};

base::Result<UniqueFd> connect_unix(const std::string& path, bool blocking);

}  // namespace hypermesh
