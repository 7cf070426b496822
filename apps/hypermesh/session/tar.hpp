#pragma once

// Files to and from tar streams over a descriptor, on a thread of their own (libarchive).

#include <base/error.hpp>
#include <string>
#include <string_view>
#include <thread>

namespace cli {

struct Unpacked {
  std::size_t entries = 0;
  std::size_t left_out = 0;  ///< Links that lead out, devices, pipes, sockets.
};

/// Unpacks what is written below `folder`: the file or folder that the archive holds becomes
/// `name`. Hostile archives stay inside: absolute names and ".." are refused, links on the way
/// not followed; links that lead out, devices and set-id bits are not made.
class TarUnpacker {
 public:
  static constexpr std::size_t kEntriesMax = 1'000'000;

  TarUnpacker(std::string folder, std::string name);
  ~TarUnpacker();
  TarUnpacker(const TarUnpacker&) = delete;
  TarUnpacker& operator=(const TarUnpacker&) = delete;

  /// Errors: what the unpacking failed with.
  base::Result<> write(std::string_view bytes);
  /// The end of the archive. Errors: what the unpacking failed with.
  base::Result<Unpacked> finish();

 private:
  base::Result<> unpack();

  std::string folder_, name_;
  int read_end_ = -1, write_end_ = -1;
  std::thread thread_;
  base::Result<> outcome_;  // Of the thread; read after it ended.
  Unpacked unpacked_;
};

/// Packs the file or folder `path`; its own name in the archive is `name`. Links are packed as
/// links.
class TarPacker {
 public:
  TarPacker(std::string path, std::string name);
  ~TarPacker();
  TarPacker(const TarPacker&) = delete;
  TarPacker& operator=(const TarPacker&) = delete;

  /// The next bytes; "" at the end. Errors: what the packing failed with.
  base::Result<std::string> next();

 private:
  base::Result<> pack();

  std::string path_, name_;
  int read_end_ = -1, write_end_ = -1;
  std::thread thread_;
  base::Result<> outcome_;  // Of the thread; read after it ended.
};

}  // namespace cli
