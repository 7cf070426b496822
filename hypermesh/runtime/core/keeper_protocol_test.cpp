#include "runtime/core/keeper_protocol.hpp"

#include <gtest/gtest.h>

#include "runtime/core/records.hpp"
#include "runtime/core/workload_wire.hpp"

namespace hypermesh::keeper {
namespace {

nexus::PodSpec pod() {
  nexus::PodSpec spec;
  spec.uid = "uid-1";
  spec.name_space = "default";
  spec.name = "web";
  spec.volumes = {
      {"scratch", nexus::EmptyDirVolume{true, 1 << 20}},
      {"host", nexus::HostPathVolume{"/var/log", nexus::HostPathVolume::Type::Directory}},
      {"config", nexus::FilesVolume{{{"a/b", "content", 0600}}, true}},
      {"data", nexus::NamedVolume{"default/data"}}};
  spec.dns_searches = {"default.mesh", "mesh"};
  spec.host_aliases = {{"10.0.0.1", "db"}};
  spec.fs_group = 1000;
  spec.sysctls = {{"net.core.somaxconn", "1024"}};
  return spec;
}

nexus::ContainerSpec container() {
  nexus::ContainerSpec spec;
  spec.id = {"uid-1", "web"};
  spec.attempt = 3;
  spec.env = {{"A", "b"}};
  spec.mounts = {{"scratch", "/tmp", "", false}};
  spec.security.user = 1000;
  spec.security.capabilities_drop = {"ALL"};
  return spec;
}

std::vector<Request> samples() {
  return {CreatePod{pod()},
          StartContainer{container(),
                         {{std::string(64, 'a')}, {"/bin/sh"}, {"PATH=/bin"}, "/", "web", 15},
                         {1 << 20, 7}},
          StopContainer{{"uid-1", "web"}, std::chrono::seconds(30)},
          SignalContainer{{"uid-1", "web"}, 9},
          SetLimits{{"uid-1", "web"}, {1 << 20, 500, 100, 10, 1, 2}},
          UpdateFiles{"uid-1", "config", {{"a", "b", 0644}}},
          RemovePod{"uid-1"},
          ListPods{},
          Exec{{{"uid-1", "web"}, {"ls"}, true, true, 50, 100}},
          CloseSession{7},
          Attach{{"uid-1", "web"}},
          Connect{"uid-1", 80},
          HostSocket{"127.0.0.1", 5000},
          Stats{"uid-1"},
          InstallLayer{std::string(64, 'b'), {std::string(64, 'a')}},
          ListLayers{},
          RemoveLayer{std::string(64, 'b')},
          CopyOut{{"uid-1", "web"}, "/etc/passwd"},
          CopyIn{{"uid-1", "web"}, "/tmp"},
          ApplyServices{{1, 2, 3}},
          PowerOff{}};
}

TEST(KeeperProtocol, EveryRequestComesBackAsItWas) {
  ASSERT_EQ(samples().size(), std::variant_size_v<Request>);
  for (const Request& request : samples()) {
    SCOPED_TRACE(name_of(request));
    const base::Bytes bytes = encode_request(request);
    const auto decoded = decode_request(bytes);
    ASSERT_TRUE(decoded) << decoded.error().describe();
    EXPECT_EQ(decoded->index(), request.index());
    EXPECT_EQ(encode_request(*decoded), bytes);
  }
}

TEST(KeeperProtocol, ATruncatedOrLongerBodyIsRefused) {
  for (const Request& request : samples()) {
    SCOPED_TRACE(name_of(request));
    base::Bytes bytes = encode_request(request);
    for (std::size_t length = 0; length < bytes.size(); ++length) {
      EXPECT_EQ(decode_request(base::BytesView(bytes).first(length)).error().code,
                base::Errc::DataLoss);
    }
    bytes.push_back(0);
    EXPECT_EQ(decode_request(bytes).error().code, base::Errc::DataLoss);
  }
}

TEST(KeeperProtocol, RepliesAndEventsComeBack) {
  nexus::ContainerStatus status;
  status.id = {"uid-1", "web"};
  status.exit_code = -1;
  status.started = base::WallTime(base::Duration(1'700'000'000'000'000'001));
  for (const Reply& reply : std::vector<Reply>{
           Done{}, status, std::vector<nexus::ContainerStats>{{{"u", "c"}, 1, 2, 3, 4, 5}},
           nexus::PodStatus{"u", "n", "p", true, {"fd00::2"}, {status}}, SessionOpened{9},
           BytesFreed{10}, LayersReply{{{1}, {2, 3}}}}) {
    const base::Bytes bytes = encode_reply(reply);
    const auto decoded = decode_reply(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(encode_reply(*decoded), bytes);
  }
  const auto event = decode_event(
      encode_event(nexus::DriverEvent{nexus::DriverEvent::Kind::ContainerExited, status}));
  EXPECT_EQ(std::get<nexus::DriverEvent>(*event).container.started, status.started);
  EXPECT_EQ(std::get<nexus::DriverEvent>(*event).container.exit_code, -1);
}

TEST(KeeperProtocol, AnErrorKeepsItsCodeItsCausesAndItsHints) {
  base::Error error =
      base::wrap(base::with_hint(base::make_error(base::Errc::NotFound, "no such file"), "look"),
                 "cannot start");
  const auto reply = decode_reply(encode_reply(Failed{error}));
  const auto& failed = std::get<Failed>(*reply);
  EXPECT_EQ(failed.error.code, base::Errc::NotFound);
  EXPECT_EQ(failed.error.message, "cannot start: no such file");
  EXPECT_EQ(failed.error.hints, std::vector<std::string>{"look"});
}

TEST(KeeperProtocol, HeadersAreBounded) {
  const auto header = decode_header(encode_header({100, FrameKind::Reply, 2, 77}));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->body_bytes, 100u);
  EXPECT_EQ(header->kind, FrameKind::Reply);
  EXPECT_EQ(header->id, 77u);
  EXPECT_FALSE(decode_header(encode_header({kFrameBytesMax, FrameKind::Reply, 0, 1})));
  EXPECT_FALSE(decode_header(encode_header({1, FrameKind::Reply, kFrameFdsMax + 1, 1})));
  EXPECT_FALSE(decode_header(encode_header({1, static_cast<FrameKind>(9), 0, 1})));
  EXPECT_FALSE(decode_header(base::Bytes{0, 0, 0, 1}));
}

TEST(KeeperProtocol, VersionsMeetOrAreRefusedByName) {
  EXPECT_EQ(choose_version({kProtocolOldest, 1, ""}), kProtocolOldest);
  EXPECT_EQ(choose_version({7, 1, ""}), kProtocolNewest);
  const auto refused = choose_version({9, 8, ""});
  EXPECT_EQ(refused.error().code, base::Errc::Unsupported);
  EXPECT_NE(refused.error().message.find("the client 8 to 9"), std::string::npos);
}

TEST(KeeperProtocol, AHelloOfALaterVersionCanSayMore) {
  base::Bytes hello = encode_hello({2, 1, "later"});
  hello.push_back(42);
  EXPECT_EQ(decode_hello(hello)->client, "later");
}

TEST(KeeperProtocol, ACountOfBillionsAllocatesNothing) {
  base::ByteWriter writer;
  writer.u8(static_cast<std::uint8_t>(Reply(LayersReply{}).index()));
  writer.u32(0xffffffff);
  EXPECT_EQ(decode_reply(writer.view()).error().code, base::Errc::DataLoss);
}

TEST(Records, ComeBackWithoutTheContentOfFiles) {
  const auto record = decode_pod_record(encode_pod_record({"boot", 7, pod()}));
  ASSERT_TRUE(record);
  EXPECT_EQ(record->slot, 7);
  EXPECT_EQ(std::get<nexus::FilesVolume>(record->spec.volumes[2].source).files[0].content, "");
  EXPECT_EQ(std::get<nexus::FilesVolume>(record->spec.volumes[2].source).files[0].path, "a/b");
  const base::Bytes bytes = encode_container_record({"boot", {"l"}, 15, {}});
  EXPECT_TRUE(decode_container_record(bytes));
  EXPECT_EQ(decode_pod_record(bytes).error().code, base::Errc::DataLoss);
}

TEST(Records, ALaterVersionIsUnsupportedAndDamageIsDamage) {
  base::Bytes bytes = encode_container_record({"boot", {"l"}, 15, {}});
  bytes[5] = 2;
  EXPECT_EQ(decode_container_record(bytes).error().code, base::Errc::Unsupported);
  bytes[5] = 1;
  bytes.pop_back();
  EXPECT_EQ(decode_container_record(bytes).error().code, base::Errc::DataLoss);
}

}  // namespace
}  // namespace hypermesh::keeper
