#include "runtime/images/auth_config.hpp"
#include "runtime/images/image_config.hpp"
#include "runtime/images/image_records.hpp"
#include "runtime/images/layout_documents.hpp"
#include "runtime/images/manifest.hpp"

// Every JSON document that comes from outside or from disk. The first byte says which one is tried.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace hypermesh;
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 6) {
    case 0:
      if (const auto parsed = parse_manifest(text, "", "m"); parsed) {
        if (const auto* index = std::get_if<ImageIndex>(&*parsed))
          (void)select_manifest(*index, Platform{}, "m");
      }
      break;
    case 1:
      if (const auto config = parse_image_config(text, "c"); config)
        (void)chain_ids(config->diff_ids);
      break;
    case 2:
      if (const auto entries = parse_layout_index(text); entries)
        (void)choose_layout_entries(*entries, "", "a.tar");
      break;
    case 3:
      (void)parse_docker_archive(text);
      break;
    case 4:
      if (const auto auths = AuthConfig::parse(text); auths)
        (void)auths->find({"docker.io", "library/x", "1", {}});
      break;
    default:
      if (const auto records = ImageRecords::decode(text); records) {
        const auto again = ImageRecords::decode(records->encode());
        if (!again || again->all() != records->all()) abort();
      }
  }
  return 0;
}
