#pragma once

// The folder that a layer is unpacked into, seen through the names of its archive.
//
// Names are resolved here, one part at a time from the folder's own descriptor; the kernel never
// follows a link. A folder that the archive uses but does not hold is made as it is in the layers
// below, since on the finished stack the uppermost layer decides its mode and owner; a link below
// is followed, as it would be if the archive were unpacked over the stack.

#include <sys/stat.h>

#include <base/error.hpp>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "runtime/images/beneath.hpp"
#include "runtime/images/layer_path.hpp"
#include "runtime/images/unpack_layer.hpp"

namespace hypermesh {

class LayerTree {
 public:
  /// `root_fd` and the parents' descriptors are borrowed.
  LayerTree(int root_fd, std::span<const ParentLayer> parents);

  /// A folder of this layer, open (O_PATH) until the next enter() or find().
  struct Folder {
    int fd = -1;
    std::vector<std::string> path;  ///< Where it really is, links resolved.
    std::string text() const;
  };
  /// The folder that holds `entry`; makes what is missing. Errors: InvalidArgument.
  base::Result<const Folder*> enter(const LayerPath& entry);
  /// The same without making anything: InvalidArgument when it is not there.
  base::Result<const Folder*> find(const LayerPath& entry);

  /// Clears the way for a new `name` in `folder`. A folder stays where a folder is to come.
  base::Result<> prepare(const Folder& folder, const std::string& name, bool for_folder);
  /// Hides `name` of the layers below.
  base::Result<> hide(const Folder& folder, const std::string& name);
  /// Hides everything below of the folder at `path`.
  void hide_all(const std::vector<std::string>& path);
  /// To be set at the end, when nothing changes the folder any more.
  void set_folder_time(const std::vector<std::string>& path, timespec time);
  base::Result<> apply_folder_times();

  bool used_parents() const { return used_parents_; }
  std::vector<std::string> opaque_folders() const { return {opaque_.begin(), opaque_.end()}; }

 private:
  struct ParentView {
    int fd;
    std::set<std::string> opaque;
  };
  /// What the layers below show at `path`.
  struct Below {
    enum class Kind : std::uint8_t { Nothing, Folder, Link } kind = Kind::Nothing;
    struct stat status{};
    std::string target;
  };
  base::Result<const Folder*> resolve(const LayerPath& entry, bool make);
  base::Result<Below> look_below(const std::vector<std::string>& path);
  base::Result<> make_folder(int parent_fd, const std::string& name,
                             const std::vector<std::string>& path, const Below& like);
  base::Result<Fd> reopen(const std::vector<std::string>& path) const;
  bool hides_below(const std::vector<std::string>& path) const;

  const int root_fd_;
  std::vector<ParentView> parents_;  // uppermost first
  std::set<std::string> opaque_;
  std::vector<std::pair<std::string, timespec>> times_;
  bool used_parents_ = false;
  // The folder of the last entry: archives list a folder's entries together. What is done inside it
  // cannot change where its own name leads.
  std::vector<std::string> cached_name_;
  Folder cached_;
  Fd cached_fd_;
};

/// "a/b/c", "." for none.
std::string join_path(const std::vector<std::string>& parts);
bool is_whiteout(const struct stat& status);

}  // namespace hypermesh
