#include "runtime/core/records.hpp"

#include "runtime/core/workload_wire.hpp"

namespace hypermesh::keeper {

template <>
struct Members<PodRecord> {
  static auto of(auto& v) { return std::tie(v.boot_id, v.slot, v.spec); }
};
template <>
struct Members<ContainerRecord> {
  static auto of(auto& v) { return std::tie(v.boot_id, v.layers, v.stop_signal, v.status); }
};

namespace {

constexpr std::uint32_t kPodMagic = 0x484d504f;        // "HMPO"
constexpr std::uint32_t kContainerMagic = 0x484d434f;  // "HMCO"

template <class T>
base::Bytes encode_record(std::uint32_t magic, const T& record) {
  base::ByteWriter writer;
  writer.u32(magic);
  writer.u16(kRecordVersion);
  put(writer, record);
  return std::move(writer).take();
}

template <class T>
base::Result<T> decode_record(std::uint32_t magic, base::BytesView bytes, std::string_view what) {
  base::ByteReader reader(bytes);
  TRY(const std::uint32_t found, reader.u32());
  if (found != magic)
    return base::fail(base::Errc::DataLoss, fmt::format("this is no record of a {}", what));
  TRY(const std::uint16_t version, reader.u16());
  if (version != kRecordVersion) {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("record of a {} in version {}; this keeper reads {}", what,
                                  version, kRecordVersion));
  }
  T record;
  TRY_DO(get(reader, record));
  TRY_DO(reader.end());
  return record;
}

}  // namespace

base::Bytes encode_pod_record(const PodRecord& record) {
  PodRecord kept = record;
  for (auto& volume : kept.spec.volumes) {
    auto* files = std::get_if<nexus::FilesVolume>(&volume.source);
    if (!files) continue;
    for (auto& file : files->files) file.content.clear();
  }
  return encode_record(kPodMagic, kept);
}
base::Result<PodRecord> decode_pod_record(base::BytesView bytes) {
  return decode_record<PodRecord>(kPodMagic, bytes, "pod");
}
base::Bytes encode_container_record(const ContainerRecord& record) {
  return encode_record(kContainerMagic, record);
}
base::Result<ContainerRecord> decode_container_record(base::BytesView bytes) {
  return decode_record<ContainerRecord>(kContainerMagic, bytes, "container");
}

}  // namespace hypermesh::keeper
