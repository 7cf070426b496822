#include "runtime/images/unpack_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/error_mapping.hpp>

#include "runtime/images/layer_path.hpp"

namespace hypermesh {
namespace {

constexpr std::uint8_t kVersion = 1;

base::Result<std::vector<std::string>> read_texts(base::ByteReader& reader, std::size_t count_max,
                                                  std::size_t bytes_max) {
  TRY(const std::uint32_t count, reader.u32());
  if (count > count_max) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("a list of {} texts; at most {} are allowed", count, count_max));
  }
  std::vector<std::string> out;
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(const auto text, reader.sized(bytes_max));
    out.emplace_back(base::as_text(text));
  }
  return out;
}

void write_texts(base::ByteWriter& writer, const std::vector<std::string>& texts) {
  writer.u32(std::uint32_t(texts.size()));
  for (const auto& text : texts) writer.sized(text);
}

}  // namespace

base::Bytes encode_unpack_report(const UnpackReport& report) {
  base::ByteWriter writer;
  writer.u8(kVersion);
  writer.raw(report.diff_id.bytes);
  writer.u64(report.stream_bytes);
  writer.u64(report.file_bytes);
  writer.u64(report.entries);
  writer.u8(report.used_parents);
  write_texts(writer, report.opaque_folders);
  write_texts(writer, report.notes);
  return std::move(writer).take();
}

base::Result<UnpackReport> decode_unpack_report(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  TRY(const std::uint8_t version, reader.u8());
  if (version != kVersion) {
    return base::fail(
        base::Errc::Unsupported,
        fmt::format("a layer's record has version {}; {} is known", version, kVersion));
  }
  UnpackReport out;
  TRY(const auto digest, reader.raw(out.diff_id.bytes.size()));
  std::ranges::copy(digest, out.diff_id.bytes.begin());
  TRY(out.stream_bytes, reader.u64());
  TRY(out.file_bytes, reader.u64());
  TRY(out.entries, reader.u64());
  TRY(const std::uint8_t used_parents, reader.u8());
  out.used_parents = used_parents != 0;
  TRY(out.opaque_folders, read_texts(reader, kOpaqueFoldersMax, kLayerPathBytesMax));
  for (const auto& folder : out.opaque_folders) {
    if (folder == ".") continue;
    auto path = parse_layer_path(folder);
    if (!path || path->text() != folder) {
      return base::fail(base::Errc::DataLoss, fmt::format("a layer's record names a folder \"{}\"",
                                                          folder.substr(0, 200)));
    }
  }
  TRY(out.notes, read_texts(reader, kUnpackNotesMax, kUnpackNoteBytesMax));
  TRY_DO(reader.end());
  return out;
}

base::Bytes encode_unpack_outcome(const base::Result<UnpackReport>& outcome) {
  base::ByteWriter writer;
  if (outcome) {
    writer.u8(1);
    writer.raw(encode_unpack_report(*outcome));
  } else {
    writer.u8(0);
    writer.u8(base::rpc_status(outcome.error().code));
    writer.sized(std::string_view(outcome.error().describe()).substr(0, 4096));
    writer.u32(std::uint32_t(std::min<std::size_t>(outcome.error().hints.size(), 4)));
    for (std::size_t i = 0; i < outcome.error().hints.size() && i < 4; ++i) {
      writer.sized(std::string_view(outcome.error().hints[i]).substr(0, 1024));
    }
  }
  return std::move(writer).take();
}

base::Result<UnpackReport> decode_unpack_outcome(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  TRY(const std::uint8_t good, reader.u8());
  if (good == 1) return decode_unpack_report(bytes.subspan(1));
  TRY(const std::uint8_t status, reader.u8());
  TRY(const auto message, reader.sized(4096));
  base::Error error =
      base::make_error(base::errc_of_rpc_status(status), std::string(base::as_text(message)));
  TRY(error.hints, read_texts(reader, 4, 1024));
  TRY_DO(reader.end());
  return std::unexpected(std::move(error));
}

base::Bytes encode_layer_record(const LayerRecord& record) {
  base::ByteWriter writer;
  writer.u8(kVersion);
  writer.raw(record.id.digest.bytes);
  writer.raw(record.diff_id.bytes);
  writer.u8(record.used_parents);
  writer.u64(record.file_bytes);
  writer.u64(record.entries);
  write_texts(writer, record.notes);
  return std::move(writer).take();
}

base::Result<LayerRecord> decode_layer_record(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  TRY(const std::uint8_t version, reader.u8());
  if (version != kVersion) {
    return base::fail(
        base::Errc::Unsupported,
        fmt::format("a layer's record has version {}; {} is known", version, kVersion));
  }
  LayerRecord out;
  for (ContentDigest* digest : {&out.id.digest, &out.diff_id}) {
    TRY(const auto read, reader.raw(digest->bytes.size()));
    std::ranges::copy(read, digest->bytes.begin());
  }
  TRY(const std::uint8_t used_parents, reader.u8());
  out.used_parents = used_parents != 0;
  TRY(out.file_bytes, reader.u64());
  TRY(out.entries, reader.u64());
  TRY(out.notes, read_texts(reader, kUnpackNotesMax, kUnpackNoteBytesMax));
  TRY_DO(reader.end());
  return out;
}

}  // namespace hypermesh
