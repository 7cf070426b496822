// The bytes are two JSON values, target and patch, divided by a zero byte. Patches and admission
// end in a value or an error; what is admitted is admitted again unchanged.
#include <cstdint>
#include <cstdlib>

#include "manifest/admit.hpp"
#include "manifest/diff.hpp"
#include "manifest/patch.hpp"
#include "manifest/yaml_document.hpp"

namespace {

using namespace nexus::manifest;

void check_admission(const Json& object) {
  const Admission once = admit(object);
  if (!once.accepted()) return;
  const Admission twice = admit(once.object);
  if (!twice.accepted() || twice.object != once.object) std::abort();
  AdmitOptions again;
  again.existing = &once.object;
  if (!admit(once.object, again).accepted()) std::abort();
  if (!diff_objects(*once.kind, once.object, once.object).empty()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t middle = std::min(bytes.find('\0'), bytes.size());
  const ReadLimits limits{.text_bytes_max = 64 << 10, .depth_max = 40, .nodes_max = 2000};
  const auto target = read_json(bytes.substr(0, middle), limits);
  if (!target) return 0;
  check_admission(*target);
  const auto patch = read_json(bytes.substr(std::min(middle + 1, bytes.size())), limits);
  if (!patch) return 0;
  const KindInfo& kind = *find_kind("deployment");
  for (const auto& result : {merge_patch(*target, *patch), json_patch(*target, *patch),
                             strategic_merge_patch(*target, *patch, kind),
                             apply_merge(*target, *patch, *target, kind)}) {
    if (result) (void)result->dump(-1, ' ', false, Json::error_handler_t::replace);
  }
  for (const FieldChange& change : diff_objects(kind, *target, *patch)) (void)change.text();
  return 0;
}
