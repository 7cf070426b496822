#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "runtime/images/beneath.hpp"
#include "runtime/images/unpack_layer.hpp"

namespace {

// A tree to unpack into, beside one that must never change. In memory where there is such a place.
struct Place {
  std::string path =
      std::string(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp") + "/unpack-fuzz-XXXXXX";
  hypermesh::Fd folder;
  Place() {
    if (!mkdtemp(path.data())) abort();
    folder = hypermesh::Fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (mkdirat(folder.get(), "outside", 0700) != 0) abort();
  }
  ~Place() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hypermesh;
  static const Place place;
  const Fd blob(memfd_create("blob", MFD_CLOEXEC));
  if (write(blob.get(), data, size) != ssize_t(size) || lseek(blob.get(), 0, SEEK_SET) != 0)
    abort();
  if (mkdirat(place.folder.get(), "layer", 0700) != 0) abort();
  const Fd target(open_beneath(place.folder.get(), "layer", O_RDONLY | O_DIRECTORY));
  const UnpackLimits limits{
      .bytes_max = 8 << 20, .entries_max = 500, .ratio_max = 100, .ratio_free_bytes = 4 << 20};
  (void)unpack_layer(blob.get(), target.get(), limits, digest_of(base::BytesView(data, size)));
  if (unlinkat(place.folder.get(), "outside", AT_REMOVEDIR) != 0 ||
      mkdirat(place.folder.get(), "outside", 0700) != 0)
    abort();
  if (!remove_beneath(place.folder.get(), "layer")) abort();
  return 0;
}
