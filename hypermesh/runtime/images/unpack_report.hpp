#pragma once

// What a layer turned out to be, and what the privileged side still has to do with it. Written by
// the sandboxed unpacker, so the reader trusts nothing in it; kept beside the layer as its record.

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "runtime/images/digest.hpp"

namespace hypermesh {

struct UnpackReport {
  ContentDigest diff_id;           ///< Found over the whole uncompressed stream.
  std::uint64_t stream_bytes = 0;  ///< Of the uncompressed archive.
  std::uint64_t file_bytes = 0;    ///< Of files' content.
  std::uint64_t entries = 0;
  /// Some folder was not in the archive itself, so its mode and owner came from the layers below:
  /// the result belongs to this stack of layers only.
  bool used_parents = false;
  /// Folders that hide what lies below them, relative to the layer's top. The unpacker has no right
  /// to mark them (trusted.overlay.opaque needs the initial user namespace); mark_opaque_folders()
  /// does.
  std::vector<std::string> opaque_folders;
  std::vector<std::string>
      notes;  ///< What was changed on the way, for people. At most kUnpackNotesMax.

  bool operator==(const UnpackReport&) const = default;
};

inline constexpr std::size_t kUnpackNotesMax = 16;
inline constexpr std::size_t kUnpackNoteBytesMax = 512;
inline constexpr std::size_t kOpaqueFoldersMax = 200'000;
inline constexpr std::size_t kUnpackReportBytesMax = 64u << 20;

base::Bytes encode_unpack_report(const UnpackReport& report);
/// Checks every path: relative, without "..". Errors: DataLoss, Unsupported (version).
base::Result<UnpackReport> decode_unpack_report(base::BytesView bytes);

/// What the unpacker's process says at its end: a report, or why there is none.
base::Bytes encode_unpack_outcome(const base::Result<UnpackReport>& outcome);
/// Errors: those of the unpacker; DataLoss (malformed).
base::Result<UnpackReport> decode_unpack_outcome(base::BytesView bytes);

/// A folder below layers/: the diff id where the layer is the same on any parents, else its chain
/// id.
struct LayerId {
  ContentDigest digest;
  auto operator<=>(const LayerId&) const = default;
  /// The folder's name.
  std::string text() const { return digest.hex(); }
};

/// An unpacked layer.
struct LayerRecord {
  LayerId id;
  ContentDigest diff_id;
  bool used_parents = false;
  std::uint64_t file_bytes = 0;
  std::uint64_t entries = 0;
  std::vector<std::string> notes;

  bool operator==(const LayerRecord&) const = default;
};

/// As the keeper tells it.
base::Bytes encode_layer_record(const LayerRecord& record);
/// Errors: DataLoss, Unsupported (version).
base::Result<LayerRecord> decode_layer_record(base::BytesView bytes);

}  // namespace hypermesh
