// Records of 300 bytes through the record log, 100 a sync, sealed by a key ring; in turns with the
// same bytes by write and fdatasync into a file that was written before (the floor).
//
// log_append FOLDER [RECORDS]: prints, for each, records a second, bytes a second, CPU time a
// record, and the time of a sync, in the middle and the longest.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "at_rest/key_ring.hpp"
#include "consensus/log/disk_files.hpp"
#include "consensus/log/segment_log.hpp"

using namespace hypermesh;

namespace {

constexpr std::size_t kPayloadBytes = 300;
constexpr std::uint64_t kGroup = 100;

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](timeval time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// The times of syncs.
class Syncs {
 public:
  template <class Work>
  void time(Work work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    took_.push_back(std::chrono::steady_clock::now() - start);
  }
  std::string describe() {
    if (took_.empty()) return "";
    std::ranges::sort(took_);
    return fmt::format(", {:.3f} ms a sync, {:.1f} the longest", took_[took_.size() / 2].count(),
                       took_.back().count());
  }

 private:
  std::vector<std::chrono::duration<double, std::milli>> took_;
};

template <class Work>
void measure(const char* name, std::uint64_t records, std::uint64_t bytes, Work work) {
  Syncs syncs;
  const double cpu = cpu_seconds();
  const auto start = std::chrono::steady_clock::now();
  work(syncs);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  const auto count = static_cast<double>(records);
  fmt::print("{} {:.0f} records/s {:.1f} MB/s {:.2f} us CPU a record{}\n", name,
             count / took.count(), static_cast<double>(bytes) / took.count() / 1e6,
             (cpu_seconds() - cpu) / count * 1e6, syncs.describe());
}

template <class T>
T need(base::Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "{}\n", result.error().describe());
  std::exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: log_append FOLDER [RECORDS]\n");
    return 2;
  }
  const std::filesystem::path folder = std::filesystem::path(argv[1]) / "log-append";
  const std::uint64_t records = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 100'000;
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);

  base::SystemRng rng;
  const auto keys = need(
      at_rest::make_key_ring(folder / "keyring", at_rest::KeyFile{folder / "master.key"}, rng));
  const base::Bytes payload(kPayloadBytes, 0x5a);
  const std::uint64_t record_bytes =
      consensus::record_bytes(1 + kPayloadBytes + 44);  // Type, and what the seal adds.
  const std::uint64_t bytes = records * record_bytes;
  {
    auto log = need(consensus::open_segment_log(need(consensus::open_disk_files(folder / "log")),
                                                *keys, consensus::LogOptions{}));
    measure("log  ", records, bytes, [&](Syncs& syncs) {
      for (std::uint64_t i = 1; i <= records; ++i) {
        need(log->append(1, payload));
        if (i % kGroup == 0) syncs.time([&] { need(log->sync()); });
      }
    });
  }
  {
    const int fd = ::open((folder / "floor").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const base::Bytes zeros(1u << 20);
    for (std::uint64_t at = 0; at < bytes; at += zeros.size())
      if (::pwrite(fd, zeros.data(), zeros.size(), static_cast<off_t>(at)) < 0) return 1;
    if (::fsync(fd) != 0) return 1;
    const base::Bytes batch(kGroup * record_bytes, 0x5a);
    measure("floor", records, bytes, [&](Syncs& syncs) {
      for (std::uint64_t i = 0; i < records / kGroup; ++i) {
        syncs.time([&] {
          if (::pwrite(fd, batch.data(), batch.size(), static_cast<off_t>(i * batch.size())) < 0 ||
              ::fdatasync(fd) != 0)
            std::exit(1);
        });
      }
    });
    ::close(fd);
  }
  {
    auto log = need(consensus::open_segment_log(need(consensus::open_disk_files(folder / "log")),
                                                *keys, consensus::LogOptions{}));
    measure("read ", records, bytes,
            [&](Syncs&) { need(log->read(1, [](const consensus::LogRecord&) {})); });
  }
  std::filesystem::remove_all(folder);
}
