#include "runtime/core/keeper_protocol.hpp"

#include <algorithm>
#include <base/error_mapping.hpp>

#include "runtime/core/workload_wire.hpp"

namespace hypermesh::keeper {

template <>
inline constexpr int kEnumerators<FrameKind> = 5;

template <>
struct Members<Hello> {
  static auto of(auto& v) { return std::tie(v.newest, v.oldest, v.client); }
};
template <>
struct Members<Welcome> {
  static auto of(auto& v) {
    return std::tie(v.version, v.incarnation, v.oci_runtime, v.cgroups, v.log_folder);
  }
};
template <>
struct Members<ContainerImage> {
  static auto of(auto& v) {
    return std::tie(v.layers, v.args, v.env, v.working_directory, v.user, v.stop_signal);
  }
};
template <>
struct Members<LogLimits> {
  static auto of(auto& v) { return std::tie(v.file_bytes_max, v.files_max); }
};
template <>
struct Members<CreatePod> {
  static auto of(auto& v) { return std::tie(v.spec); }
};
template <>
struct Members<StartContainer> {
  static auto of(auto& v) { return std::tie(v.spec, v.image, v.logs); }
};
template <>
struct Members<StopContainer> {
  static auto of(auto& v) { return std::tie(v.id, v.grace); }
};
template <>
struct Members<SignalContainer> {
  static auto of(auto& v) { return std::tie(v.id, v.signal); }
};
template <>
struct Members<SetLimits> {
  static auto of(auto& v) { return std::tie(v.id, v.limits); }
};
template <>
struct Members<UpdateFiles> {
  static auto of(auto& v) { return std::tie(v.pod_uid, v.volume, v.files); }
};
template <>
struct Members<RemovePod> {
  static auto of(auto& v) { return std::tie(v.uid); }
};
template <>
struct Members<ListPods> {
  static auto of(auto&) { return std::tie(); }
};
template <>
struct Members<Exec> {
  static auto of(auto& v) { return std::tie(v.spec); }
};
template <>
struct Members<CloseSession> {
  static auto of(auto& v) { return std::tie(v.session); }
};
template <>
struct Members<Attach> {
  static auto of(auto& v) { return std::tie(v.id); }
};
template <>
struct Members<Connect> {
  static auto of(auto& v) { return std::tie(v.pod_uid, v.port); }
};
template <>
struct Members<HostSocket> {
  static auto of(auto& v) { return std::tie(v.address, v.port); }
};
template <>
struct Members<Stats> {
  static auto of(auto& v) { return std::tie(v.pod_uid); }
};
template <>
struct Members<InstallLayer> {
  static auto of(auto& v) { return std::tie(v.diff_id, v.parents); }
};
template <>
struct Members<ListLayers> {
  static auto of(auto&) { return std::tie(); }
};
template <>
struct Members<RemoveLayer> {
  static auto of(auto& v) { return std::tie(v.id); }
};
template <>
struct Members<CopyOut> {
  static auto of(auto& v) { return std::tie(v.id, v.path); }
};
template <>
struct Members<CopyIn> {
  static auto of(auto& v) { return std::tie(v.id, v.path); }
};
template <>
struct Members<ApplyServices> {
  static auto of(auto& v) { return std::tie(v.table); }
};
template <>
struct Members<PowerOff> {
  static auto of(auto&) { return std::tie(); }
};
template <>
struct Members<Done> {
  static auto of(auto&) { return std::tie(); }
};
template <>
struct Members<SessionOpened> {
  static auto of(auto& v) { return std::tie(v.session, v.attempt); }
};
template <>
struct Members<LayerReply> {
  static auto of(auto& v) { return std::tie(v.record); }
};
template <>
struct Members<LayersReply> {
  static auto of(auto& v) { return std::tie(v.records); }
};
template <>
struct Members<BytesFreed> {
  static auto of(auto& v) { return std::tie(v.bytes); }
};
template <>
struct Members<SessionEnded> {
  static auto of(auto& v) { return std::tie(v.exit_code, v.error); }
};

// An error travels as the number of its code, its whole description and its hints; the chain of
// causes is folded into the description.
template <>
void put(base::ByteWriter& writer, const Failed& failed) {
  writer.u8(base::rpc_status(failed.error.code));
  put(writer, failed.error.describe());
  put(writer, failed.error.hints);
}
template <>
base::Result<> get(base::ByteReader& reader, Failed& failed) {
  TRY(const std::uint8_t status, reader.u8());
  failed.error.code = base::errc_of_rpc_status(status);
  TRY_DO(get(reader, failed.error.message));
  return get(reader, failed.error.hints);
}

std::array<std::uint8_t, kFrameHeaderBytes> encode_header(const FrameHeader& header) {
  base::ByteWriter writer;
  writer.u32(header.body_bytes + static_cast<std::uint32_t>(kFrameHeaderBytes - 4));
  put(writer, header.kind);
  writer.u8(header.fds);
  writer.u64(header.id);
  std::array<std::uint8_t, kFrameHeaderBytes> bytes{};
  std::ranges::copy(writer.view(), bytes.begin());
  return bytes;
}

base::Result<FrameHeader> decode_header(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  FrameHeader header;
  TRY(const std::uint32_t length, reader.u32());
  if (length < kFrameHeaderBytes - 4 || length > kFrameBytesMax) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("frame of {} bytes; at most {}", length, kFrameBytesMax));
  }
  header.body_bytes = length - static_cast<std::uint32_t>(kFrameHeaderBytes - 4);
  TRY_DO(get(reader, header.kind));
  TRY(header.fds, reader.u8());
  if (header.fds > kFrameFdsMax) {
    return base::fail(base::Errc::DataLoss, fmt::format("frame with {} descriptors; at most {}",
                                                        header.fds, kFrameFdsMax));
  }
  TRY(header.id, reader.u64());
  TRY_DO(reader.end());
  return header;
}

base::Result<std::uint16_t> choose_version(const Hello& hello) {
  const std::uint16_t newest = std::min(hello.newest, kProtocolNewest);
  if (newest < std::max(hello.oldest, kProtocolOldest)) {
    return std::unexpected(base::with_hint(
        base::make_error(
            base::Errc::Unsupported,
            fmt::format("the keeper speaks versions {} to {} of its protocol, the client {} to {}",
                        kProtocolOldest, kProtocolNewest, hello.oldest, hello.newest)),
        "install hypermesh-keeper and hypermeshd of one release"));
  }
  return newest;
}

std::string_view name_of(const Request& request) {
  static constexpr std::array<std::string_view, std::variant_size_v<Request>> kNames{
      "CreatePod",   "StartContainer", "StopContainer", "SignalContainer",
      "SetLimits",   "UpdateFiles",    "RemovePod",     "ListPods",
      "Exec",        "CloseSession",   "Attach",        "Connect",
      "HostSocket",  "Stats",          "InstallLayer",  "ListLayers",
      "RemoveLayer", "CopyOut",        "CopyIn",        "ApplyServices",
      "PowerOff"};
  return kNames[request.index()];
}

base::Bytes encode_hello(const Hello& hello) {
  return encode(hello);
}
base::Result<Hello> decode_hello(base::BytesView body) {
  // A later version may say more: what follows the known members is not ours to judge.
  base::ByteReader reader(body);
  Hello hello;
  TRY_DO(get(reader, hello));
  return hello;
}
base::Bytes encode_welcome(const Welcome& welcome) {
  return encode(welcome);
}
base::Result<Welcome> decode_welcome(base::BytesView body) {
  base::ByteReader reader(body);
  Welcome welcome;
  TRY_DO(get(reader, welcome));
  return welcome;
}
base::Bytes encode_request(const Request& request) {
  return encode(request);
}
base::Result<Request> decode_request(base::BytesView body) {
  return decode<Request>(body);
}
base::Bytes encode_reply(const Reply& reply) {
  return encode(reply);
}
base::Result<Reply> decode_reply(base::BytesView body) {
  return decode<Reply>(body);
}
base::Bytes encode_event(const Event& event) {
  return encode(event);
}
base::Result<Event> decode_event(base::BytesView body) {
  return decode<Event>(body);
}

}  // namespace hypermesh::keeper
