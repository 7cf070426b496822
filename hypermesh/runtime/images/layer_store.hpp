#pragma once

// Unpacked layers on disk: one folder each, shared by all containers as overlay lower folders. Runs
// with privilege (the keeper); whatever reads hostile bytes runs in a process of its own without
// any.
//
//   <root>/<id>/fs       the layer's files; ids on disk are id_base + the archive's
//   <root>/<id>/report   UnpackReport; written last, so a folder with a report is whole
//   <root>/.new-*        being made; removed at the next start
//   <root>/.old-*        being removed
//
// A layer is made under a temporary name, written out (syncfs), then renamed: a crash leaves all of
// it or nothing that counts.

#include <base/error.hpp>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "runtime/images/fd.hpp"
#include "runtime/images/unpack_limits.hpp"
#include "runtime/images/unpack_report.hpp"

namespace hypermesh {

struct LayerStoreOptions {
  std::string root;  ///< Made if missing; its parent must exist. Only root may write there.
  std::string unpacker_path;  ///< The program hypermesh-unpack.
  std::uint32_t id_base =
      0;  ///< The archive's ids 0 to 65535 belong to id_base + id on disk. Not 0.
  UnpackLimits limits;
  /// Whether a container's root is mounted from the layer: such a one is not removed. Empty: never.
  std::function<bool(const LayerId&)> in_use;
};

class LayerStore {
 public:
  /// Removes what a crash left half done. Errors: those of the file system, InvalidArgument,
  /// FailedPrecondition (another store has the folder).
  static base::Result<std::unique_ptr<LayerStore>> open(LayerStoreOptions options);

  /// Makes the layer from the compressed archive in `blob_fd` (borrowed, read from its start), or
  /// finds it. `parents`: the layers below, bottom first. Blocks for as long as unpacking takes;
  /// calls for different layers may run in different threads. Errors: as LayerUnpacker::unpack.
  base::Result<LayerRecord> install(int blob_fd, const ContentDigest& diff_id,
                                    std::span<const LayerId> parents);
  base::Result<std::vector<LayerRecord>> list();
  base::Result<LayerRecord> find(LayerId id);
  /// Answers the bytes of its files. Errors: FailedPrecondition (in use).
  base::Result<std::uint64_t> remove(LayerId id);
  /// The folder to mount as a lower: "<root>/<id>/fs".
  std::string folder(LayerId id) const;
  /// What a copy of this process needs to work in the store.
  int descriptor() const { return root_.get(); }

 private:
  LayerStore(LayerStoreOptions options, Fd root)
      : options_(std::move(options)), root_(std::move(root)) {}
  base::Result<> remove_leftovers();
  base::Result<std::optional<UnpackReport>> read_report(const LayerId& id) const;
  base::Result<std::optional<LayerRecord>> present(const ContentDigest& diff_id,
                                                   const ContentDigest& chain_id,
                                                   bool lowest) const;
  base::Result<LayerRecord> make(int blob_fd, const ContentDigest& diff_id,
                                 const ContentDigest& chain_id, std::span<const LayerId> parents);
  base::Result<LayerRecord> make_in(int folder_fd, const std::string& folder_name, int blob_fd,
                                    const ContentDigest& diff_id, const ContentDigest& chain_id,
                                    std::span<const LayerId> parents);

  const LayerStoreOptions options_;
  const Fd root_;
  std::mutex mutex_;
  std::set<ContentDigest> busy_;  ///< Diff ids that are being made. Guarded by mutex_.
  std::condition_variable idle_;
};

/// Marks `folders` beneath `layer_fd` so that overlay hides what lies below them. Follows no link
/// and does not leave the layer, whatever the unpacker reported. Needs CAP_SYS_ADMIN in the initial
/// user namespace.
base::Result<> mark_opaque_folders(int layer_fd, const std::vector<std::string>& folders);

}  // namespace hypermesh
