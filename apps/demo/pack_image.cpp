// pack_image OUT REFERENCE PROGRAM: an OCI layout archive with one layer that holds PROGRAM as
// /demo.
//
// Equal input gives equal bytes: times are zero, names sorted, owners root.

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>

#include <base/bytes.hpp>
#include <base/crypto.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

namespace {

using nlohmann::json;

struct Entry {
  std::string path;
  std::string content;
  unsigned mode;
  bool folder = false;
};

std::string tar(const std::vector<Entry>& entries, bool gzip) {
  std::string out;
  archive* writer = archive_write_new();
  archive_write_set_format_ustar(writer);
  if (gzip) {
    archive_write_add_filter_gzip(writer);
    archive_write_set_filter_option(writer, "gzip", "timestamp", nullptr);
  }
  archive_write_set_bytes_in_last_block(writer, 1);
  archive_write_open2(
      writer, &out, nullptr,
      [](archive*, void* to, const void* bytes, std::size_t size) -> la_ssize_t {
        static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), size);
        return static_cast<la_ssize_t>(size);
      },
      nullptr, nullptr);
  for (const Entry& entry : entries) {
    archive_entry* header = archive_entry_new();
    archive_entry_set_pathname(header, entry.path.c_str());
    archive_entry_set_filetype(header, entry.folder ? AE_IFDIR : AE_IFREG);
    archive_entry_set_perm(header, entry.mode);
    archive_entry_set_size(header, static_cast<la_int64_t>(entry.content.size()));
    archive_entry_set_mtime(header, 0, 0);
    archive_write_header(writer, header);
    archive_write_data(writer, entry.content.data(), entry.content.size());
    archive_entry_free(header);
  }
  archive_write_close(writer);
  archive_write_free(writer);
  return out;
}

std::string digest(std::string_view bytes) {
  return "sha256:" + base::to_hex(base::sha256(bytes));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: pack_image OUT REFERENCE PROGRAM\n");
    return 2;
  }
  std::ifstream file(argv[3], std::ios::binary);
  if (!file) {
    fmt::print(stderr, "pack_image: {} cannot be read\n", argv[3]);
    return 1;
  }
  const std::string program{std::istreambuf_iterator<char>(file), {}};
  const std::string passwd =
      "root:x:0:0:root:/:/sbin/nologin\ndemo:x:1000:1000:demo:/:/sbin/nologin\n";
  const std::vector<Entry> files = {{"demo", program, 0755},
                                    {"etc/", "", 0755, true},
                                    {"etc/passwd", passwd, 0644},
                                    {"proc/", "", 0555, true},
                                    {"tmp/", "", 01777, true}};
  const std::string layer = tar(files, true);
  const json config = {{"architecture", "amd64"},
                       {"os", "linux"},
                       {"created", "1970-01-01T00:00:00Z"},
                       {"config",
                        {{"User", "1000:1000"},
                         {"Entrypoint", {"/demo"}},
                         {"ExposedPorts", {{"8080/tcp", json::object()}}}}},
                       {"rootfs", {{"type", "layers"}, {"diff_ids", {digest(tar(files, false))}}}}};
  const std::string config_text = config.dump();
  const json manifest = {{"schemaVersion", 2},
                         {"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                         {"config",
                          {{"mediaType", "application/vnd.oci.image.config.v1+json"},
                           {"digest", digest(config_text)},
                           {"size", config_text.size()}}},
                         {"layers",
                          {{{"mediaType", "application/vnd.oci.image.layer.v1.tar+gzip"},
                            {"digest", digest(layer)},
                            {"size", layer.size()}}}}};
  const std::string manifest_text = manifest.dump();
  const json index = {{"schemaVersion", 2},
                      {"mediaType", "application/vnd.oci.image.index.v1+json"},
                      {"manifests",
                       {{{"mediaType", "application/vnd.oci.image.manifest.v1+json"},
                         {"digest", digest(manifest_text)},
                         {"size", manifest_text.size()},
                         {"annotations", {{"org.opencontainers.image.ref.name", argv[2]}}},
                         {"platform", {{"architecture", "amd64"}, {"os", "linux"}}}}}}};
  const auto blob = [](std::string_view bytes) {
    return "blobs/sha256/" + base::to_hex(base::sha256(bytes));
  };
  const std::string archive = tar({{"oci-layout", R"({"imageLayoutVersion":"1.0.0"})", 0644},
                                   {"index.json", index.dump(), 0644},
                                   {blob(manifest_text), manifest_text, 0644},
                                   {blob(config_text), config_text, 0644},
                                   {blob(layer), layer, 0644}},
                                  false);
  std::ofstream out(argv[1], std::ios::binary);
  out << archive;
  out.close();
  if (!out) {
    fmt::print(stderr, "pack_image: {} cannot be written\n", argv[1]);
    return 1;
  }
  return 0;
}
