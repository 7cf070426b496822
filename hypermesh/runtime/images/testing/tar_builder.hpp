#pragma once

// Archives byte by byte, also such as no archiver would write.

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace hypermesh::testing {

struct TarEntry {
  std::string name;
  char type =
      '0';  ///< '0' file, '1' hard link, '2' symlink, '3' char, '4' block, '5' folder, '6' fifo
  std::string data;
  std::string link;
  unsigned mode = 0644;
  unsigned uid = 0, gid = 0;
  long mtime = 1'700'000'000;
  std::vector<std::pair<std::string, std::string>> pax;
  std::string size_field;  ///< In place of the true size, when not empty.
  unsigned device_major = 0, device_minor = 0;
};

class TarBuilder {
 public:
  TarBuilder& add(const TarEntry& entry) {
    auto pax = entry.pax;
    if (entry.name.size() > 100) pax.emplace_back("path", entry.name);
    if (entry.link.size() > 100) pax.emplace_back("linkpath", entry.link);
    if (!pax.empty()) {
      std::string records;
      for (const auto& [key, value] : pax) records += record(key, value);
      header({.name = "pax", .type = 'x', .data = records});
      body(records);
    }
    header(entry);
    body(entry.data);
    return *this;
  }
  TarBuilder& file(std::string name, std::string data, unsigned mode = 0644) {
    return add({.name = std::move(name), .data = std::move(data), .mode = mode});
  }
  TarBuilder& folder(std::string name, unsigned mode = 0755) {
    return add({.name = std::move(name) + "/", .type = '5', .mode = mode});
  }
  TarBuilder& symlink(std::string name, std::string to) {
    return add({.name = std::move(name), .type = '2', .link = std::move(to), .mode = 0777});
  }
  TarBuilder& hard_link(std::string name, std::string to) {
    return add({.name = std::move(name), .type = '1', .link = std::move(to)});
  }
  TarBuilder& raw(std::string_view bytes) {
    out_ += bytes;
    return *this;
  }
  /// With the two empty blocks of the end.
  std::string done() const { return out_ + std::string(1024, '\0'); }
  const std::string& without_end() const { return out_; }

 private:
  static std::string record(const std::string& key, const std::string& value) {
    std::size_t size = key.size() + value.size() + 3;
    for (std::size_t before = 0; before != size;) {
      before = size;
      size = key.size() + value.size() + 3 + std::to_string(size).size();
    }
    return fmt::format("{} {}={}\n", size, key, value);
  }
  void header(const TarEntry& entry) {
    char block[512] = {};
    const auto put = [&](std::size_t at, std::size_t room, const std::string& text) {
      text.copy(block + at, room);
    };
    put(0, 100, entry.name);
    put(100, 8, fmt::format("{:07o}", entry.mode));
    put(108, 8, fmt::format("{:07o}", entry.uid & 07777777));
    put(116, 8, fmt::format("{:07o}", entry.gid & 07777777));
    put(124, 12,
        entry.size_field.empty() ? fmt::format("{:011o}", entry.data.size()) : entry.size_field);
    put(136, 12, fmt::format("{:011o}", entry.mtime));
    block[156] = entry.type;
    put(157, 100, entry.link);
    put(257, 8,
        std::string("ustar\0"
                    "00",
                    8));
    put(329, 8, fmt::format("{:07o}", entry.device_major));
    put(337, 8, fmt::format("{:07o}", entry.device_minor));
    std::memset(block + 148, ' ', 8);
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    put(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
    out_.append(block, sizeof block);
  }
  void body(const std::string& data) {
    out_ += data;
    out_.append((512 - data.size() % 512) % 512, '\0');
  }
  std::string out_;
};

inline std::string gzip(const std::string& data) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&z, data.size()) + 64, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  z.avail_in = uInt(data.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = uInt(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

inline std::string zstd(const std::string& data) {
  std::string out(ZSTD_compressBound(data.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), data.data(), data.size(), 3));
  return out;
}

}  // namespace hypermesh::testing
