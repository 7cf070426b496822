#pragma once

// The keeper's protocol: what the daemon, which has no privilege, asks of the keeper, which has it.
//
// A stream socket carries frames: length (u32, of all that follows), kind (u8), number of file
// descriptors (u8), id (u64), body. Descriptors travel as SCM_RIGHTS with the frame's first byte.
// The client speaks first: Hello names the versions that it can speak, Welcome the one that both
// will. Requests carry ids of the client's choice; several may be under way, replies come in any
// order, each with its request's id. Events come unasked, with id 0 or, for the end of a session,
// the session's id.

#include <array>
#include <cstdint>
#include <nexus/workload_types.hpp>
#include <string>
#include <variant>
#include <vector>

#include "runtime/core/log_limits.hpp"

namespace hypermesh::keeper {

inline constexpr std::uint16_t kProtocolNewest = 2;
inline constexpr std::uint16_t kProtocolOldest = 2;
inline constexpr std::size_t kFrameBytesMax =
    32u << 20;  ///< Of one frame; a pod's ConfigMaps travel in one.
inline constexpr std::size_t kFrameHeaderBytes = 14;
inline constexpr std::size_t kFrameFdsMax = 4;

enum class FrameKind : std::uint8_t { Hello, Welcome, Request, Reply, Event };

struct FrameHeader {
  std::uint32_t body_bytes = 0;
  FrameKind kind = FrameKind::Request;
  std::uint8_t fds = 0;
  std::uint64_t id = 0;
};
std::array<std::uint8_t, kFrameHeaderBytes> encode_header(const FrameHeader& header);
/// `bytes` are kFrameHeaderBytes. Errors: DataLoss (too long, unknown kind, too many descriptors).
base::Result<FrameHeader> decode_header(base::BytesView bytes);

struct Hello {
  std::uint16_t newest = kProtocolNewest, oldest = kProtocolOldest;
  std::string client;  ///< For the keeper's log.
};
struct Welcome {
  std::uint16_t version = kProtocolNewest;
  std::uint64_t incarnation = 0;  ///< Differs for every start of the keeper.
  std::string oci_runtime;        ///< "crun 1.8.1"
  std::string cgroups;            ///< "v1", "v2"
  std::string log_folder;         ///< <log_folder>/<pod uid>/<container>/<attempt>.log
};
/// What both speak. Errors: Unsupported (names both ranges).
base::Result<std::uint16_t> choose_version(const Hello& hello);

// --- Requests
// -------------------------------------------------------------------------------------------

struct CreatePod {
  nexus::PodSpec spec;
};
/// What the image contributes to a container, with what the specification replaces already
/// replaced.
struct ContainerImage {
  std::vector<std::string> layers;  ///< Ids of unpacked layers, bottom first.
  std::vector<std::string> args;    ///< The whole command line.
  std::vector<std::string> env;     ///< "NAME=value", image's and container's.
  std::string working_directory;    ///< Absolute; empty: "/".
  std::string user;                 ///< As the image says it.
  std::int32_t stop_signal = 15;
};
struct StartContainer {
  nexus::ContainerSpec spec;
  ContainerImage image;
  LogLimits logs;
};
struct StopContainer {
  nexus::ContainerId id;
  base::Duration grace{};
};
struct SignalContainer {
  nexus::ContainerId id;
  std::int32_t signal = 0;
};
struct SetLimits {
  nexus::ContainerId id;
  nexus::ResourceLimits limits;
};
struct UpdateFiles {
  std::string pod_uid, volume;
  std::vector<nexus::VolumeFile> files;
};
struct RemovePod {
  std::string uid;
};
struct ListPods {};
/// Reply: SessionOpened, with the terminal's descriptor or those of stdin (if open), stdout,
/// stderr.
struct Exec {
  nexus::ExecSpec spec;
};
/// Kills what the session runs, or detaches.
struct CloseSession {
  std::uint64_t session = 0;
};
/// Reply: SessionOpened, with one packet socket: AttachFrame records in both directions.
struct Attach {
  nexus::ContainerId id;
};
/// Reply: Done, with a connected TCP socket of the pod's loopback.
struct Connect {
  std::string pod_uid;
  std::uint16_t port = 0;
};
/// Reply: Done, with a TCP socket connected to a loopback address of the machine that a development
/// node lives on. Errors: Unsupported (the node is not in a namespace of its own), Forbidden (not
/// loopback).
struct HostSocket {
  std::string address;  ///< A literal: "127.0.0.1", "::1".
  std::uint16_t port = 0;
};
struct Stats {
  std::string pod_uid;
};
/// Carries one descriptor: the layer's compressed archive. Reply: LayerReply.
struct InstallLayer {
  std::string diff_id;  ///< 64 hexadecimal digits.
  std::vector<std::string> parents;
};
struct ListLayers {};
struct RemoveLayer {
  std::string id;
};
/// Reply: SessionOpened, with the reading end of a pipe. The session's end says whether all went
/// well.
struct CopyOut {
  nexus::ContainerId id;
  std::string path;
};
/// Reply: SessionOpened, with the writing end of a pipe.
struct CopyIn {
  nexus::ContainerId id;
  std::string path;
};
/// A table of services as the datapath encodes it; the keeper hands it on unread.
struct ApplyServices {
  base::Bytes table;
};
/// Ends every container and removes every trace of this node from the machine, then ends the
/// keeper.
struct PowerOff {};

using Request =
    std::variant<CreatePod, StartContainer, StopContainer, SignalContainer, SetLimits, UpdateFiles,
                 RemovePod, ListPods, Exec, CloseSession, Attach, Connect, HostSocket, Stats,
                 InstallLayer, ListLayers, RemoveLayer, CopyOut, CopyIn, ApplyServices, PowerOff>;

/// "CreatePod", for logs and errors.
std::string_view name_of(const Request& request);

// --- Replies and events
// ---------------------------------------------------------------------------------

struct Failed {
  base::Error error;
};
struct Done {};
struct SessionOpened {
  std::uint64_t session = 0;
  std::uint32_t attempt = 0;  ///< Of the container, for Attach.
};
struct LayerReply {
  base::Bytes record;  ///< encode_layer_record()
};
struct LayersReply {
  std::vector<base::Bytes> records;
};
struct BytesFreed {
  std::uint64_t bytes = 0;
};
using Reply = std::variant<Failed, Done, nexus::PodStatus, std::vector<nexus::PodStatus>,
                           nexus::ContainerStatus, std::vector<nexus::ContainerStats>,
                           SessionOpened, LayerReply, LayersReply, BytesFreed>;

struct SessionEnded {
  std::int32_t exit_code = 0;
  std::string error;  ///< Why it could not do its work; empty when it did.
};
using Event = std::variant<nexus::DriverEvent, SessionEnded>;

/// Records of an attach socket, one a packet: the kind, then the data.
enum class AttachFrame : std::uint8_t {
  Stdout,      ///< keeper to client
  Stderr,      ///< keeper to client
  Lagging,     ///< keeper to client, last: the client read too slowly and was cut off
  Stdin,       ///< client to keeper
  CloseStdin,  ///< client to keeper
  Resize,      ///< client to keeper: rows, columns (u16 each)
};
inline constexpr std::size_t kAttachDataMax = 32u << 10;

// --- Bodies
// -----------------------------------------------------------------------------------------------
// Decoding errors are DataLoss.

base::Bytes encode_hello(const Hello& hello);
base::Result<Hello> decode_hello(base::BytesView body);
base::Bytes encode_welcome(const Welcome& welcome);
base::Result<Welcome> decode_welcome(base::BytesView body);
base::Bytes encode_request(const Request& request);
base::Result<Request> decode_request(base::BytesView body);
base::Bytes encode_reply(const Reply& reply);
base::Result<Reply> decode_reply(base::BytesView body);
base::Bytes encode_event(const Event& event);
base::Result<Event> decode_event(base::BytesView body);

}  // namespace hypermesh::keeper
