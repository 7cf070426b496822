#pragma once

// Images from files: OCI layout folders, OCI layout archives, and what `docker save` writes.
// Archives are read once, front to back, and nothing of them is ever a file name here: files go
// into the store by their digest.

#include <base/time.hpp>
#include <string>
#include <vector>

#include "runtime/images/cancel.hpp"
#include "runtime/images/image_store.hpp"

namespace hypermesh {

struct ImportRequest {
  std::string reference;  ///< How to call the image; empty: as the source calls its images.
  Platform platform;
  base::WallTime now{};
  std::uint64_t bytes_max = 256ull << 30;  ///< Of an archive, uncompressed.
};

/// Copies what the source holds for this platform into the store, pinned by `pins`; the caller puts
/// the records. `path`: a folder or a file, perhaps compressed as a whole with gzip or zstd.
/// Errors: NotFound, InvalidArgument (malformed, or several images and no name that tells),
/// NotVerified (a digest),
///         Unsupported, ResourceExhausted (disk, limit), Cancelled.
base::Result<std::vector<ImageRecord>> import_images(ImageStore& store, BlobPins& pins,
                                                     const std::string& path,
                                                     const ImportRequest& request,
                                                     const CancelToken& cancel);
/// The same from a pipe or file; `name` stands for the archive's file name. `fd` is borrowed.
base::Result<std::vector<ImageRecord>> import_archive(ImageStore& store, BlobPins& pins, int fd,
                                                      const std::string& name,
                                                      const ImportRequest& request,
                                                      const CancelToken& cancel);

/// Writes an image as an OCI layout archive: the one of this node's platform, under its name. `fd`
/// is borrowed.
base::Result<> export_archive(ImageStore& store, const ImageRecord& record, int fd,
                              const CancelToken& cancel);
/// The same to a file, which is there whole or not at all. Errors: also AlreadyExists.
base::Result<> export_to_file(ImageStore& store, const ImageRecord& record, const std::string& path,
                              const CancelToken& cancel);

}  // namespace hypermesh
