#include "runtime/images/unpack_request.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/images/layer_path.hpp"
#include "runtime/images/manifest.hpp"

namespace hypermesh {

base::Bytes encode_unpacker_request(const UnpackerRequest& request) {
  base::ByteWriter writer;
  writer.u32(request.id_base);
  writer.raw(request.diff_id.bytes);
  const UnpackLimits& limits = request.limits;
  for (const std::uint64_t value :
       {limits.bytes_max, limits.entries_max, limits.path_bytes_max, limits.ratio_max,
        limits.ratio_free_bytes, limits.xattr_bytes_max, std::uint64_t(limits.time_max.count())}) {
    writer.u64(value);
  }
  writer.u32(std::uint32_t(request.parents.size()));
  for (const auto& parent : request.parents) {
    writer.u32(std::uint32_t(parent.size()));
    for (const auto& folder : parent) writer.sized(folder);
  }
  return std::move(writer).take();
}

base::Result<UnpackerRequest> decode_unpacker_request(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  UnpackerRequest out;
  TRY(out.id_base, reader.u32());
  TRY(const auto digest, reader.raw(out.diff_id.bytes.size()));
  std::ranges::copy(digest, out.diff_id.bytes.begin());
  UnpackLimits& limits = out.limits;
  for (std::uint64_t* value :
       {&limits.bytes_max, &limits.entries_max, &limits.path_bytes_max, &limits.ratio_max,
        &limits.ratio_free_bytes, &limits.xattr_bytes_max}) {
    TRY(*value, reader.u64());
  }
  TRY(const std::uint64_t seconds, reader.u64());
  limits.time_max = std::chrono::seconds(seconds);
  if (limits.ratio_max == 0)
    return base::fail(base::Errc::DataLoss, "an unpack request allows no bytes");
  TRY(const std::uint32_t parents, reader.u32());
  if (parents > kLayersMax)
    return base::fail(base::Errc::DataLoss,
                      fmt::format("an unpack request names {} layers", parents));
  for (std::uint32_t i = 0; i < parents; ++i) {
    TRY(const std::uint32_t count, reader.u32());
    if (count > kOpaqueFoldersMax)
      return base::fail(base::Errc::DataLoss,
                        fmt::format("an unpack request names {} folders", count));
    auto& folders = out.parents.emplace_back();
    for (std::uint32_t k = 0; k < count; ++k) {
      TRY(const auto folder, reader.sized(kLayerPathBytesMax));
      folders.emplace_back(base::as_text(folder));
    }
  }
  TRY_DO(reader.end());
  return out;
}

}  // namespace hypermesh
