#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>

#include "runtime/core/capabilities.hpp"
#include "runtime/core/cgroup_plan.hpp"
#include "runtime/core/cri_log.hpp"
#include "runtime/core/pod_files.hpp"
#include "runtime/core/request_checks.hpp"
#include "runtime/core/seccomp_profile.hpp"
#include "runtime/core/user_lookup.hpp"

namespace hypermesh::keeper {
namespace {

// --- users
// ----------------------------------------------------------------------------------------------

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/sh\nbroken "
    "line\nweb:x:1000:1001:web:/srv:/bin/sh\nbig:x:70000:70000::/:\nbad:x:-1:0::/:\n";
constexpr std::string_view kGroup =
    "root:x:0:\nstaff:x:50:web,other\nwheel:x:10:other,web\nnogid:x::web\n";

struct UserCase {
  std::string user;
  std::optional<std::uint32_t> uid, gid;
  std::string expected;  // "uid:gid groups home", or the error's code
};

std::string resolve(const UserCase& c, std::vector<std::uint32_t> supplemental = {}) {
  const auto user =
      resolve_user({c.user, c.uid, c.gid, std::move(supplemental), false, true}, kPasswd, kGroup);
  if (!user) return std::string(base::to_string(user.error().code));
  std::string text = fmt::format("{}:{}", user->uid, user->gid);
  for (auto gid : user->groups) text += fmt::format(" {}", gid);
  return text + " " + user->home;
}

TEST(ResolveUser, LooksUpNamesAndNumbersInTheImage) {
  const UserCase cases[] = {
      {"", {}, {}, "0:0 /root"},
      {"root", {}, {}, "0:0 /root"},
      {"web", {}, {}, "1000:1001 10 50 /srv"},
      {"1000", {}, {}, "1000:1001 10 50 /srv"},
      {"1000:1000", {}, {}, "1000:1000 10 50 /srv"},
      {"web:staff", {}, {}, "1000:50 10 /srv"},
      {"4242", {}, {}, "4242:0 /"},
      {"4242:staff", {}, {}, "4242:50 /"},
      {"web", 0, {}, "0:0 /root"},
      {"web:staff", 2000, {}, "2000:0 /"},
      {"web", {}, 77, "1000:77 10 50 /srv"},
      {"65535", {}, {}, "65535:0 /"},
  };
  for (const auto& c : cases) EXPECT_EQ(resolve(c), c.expected) << c.user;
}

TEST(ResolveUser, RefusesHostileStrings) {
  for (const char* user : {"nobody-here", "web:", ":staff", "web:staff:x", "web:nothing", "big",
                           "70000", "-1", "4294967296", "0x0", "../../etc/passwd", "web:70000",
                           "\n", "web\nroot", "bad", " 0", "1000 "}) {
    if (std::string(user) == ":staff") {
      EXPECT_EQ(resolve({user, {}, {}, ""}), "0:50 /root");
      continue;
    }
    EXPECT_EQ(resolve({user, {}, {}, ""}), "InvalidArgument") << user;
  }
  const auto error = resolve_user({"\x1b[31m\n", {}, {}, {}, false, true}, kPasswd, kGroup).error();
  EXPECT_EQ(error.message.find('\x1b'), std::string::npos);
}

TEST(ResolveUser, SupplementalGroupsAreMergedAndRootIsRefusedWhereForbidden) {
  EXPECT_EQ(resolve({"web", {}, {}, ""}, {50, 7}), "1000:1001 7 10 50 /srv");
  EXPECT_EQ(resolve({"", {}, {}, ""}, {70'000}), "InvalidArgument");
  UserRequest request;
  request.must_not_be_root = true;
  EXPECT_EQ(resolve_user(request, kPasswd, kGroup).error().code, base::Errc::FailedPrecondition);
  request.image_user = "web";
  EXPECT_TRUE(resolve_user(request, kPasswd, kGroup));
  request.ids_are_mapped = false;
  request.uid = 70'000;
  EXPECT_TRUE(resolve_user(request, kPasswd, kGroup));
}

// --- capabilities and system calls
// ------------------------------------------------------------------------

TEST(Capabilities, DropAllAndAddLeaveWhatIsAdded) {
  const auto only = effective_capabilities({"net_bind_service"}, {"ALL"}, false);
  EXPECT_EQ(capability_names(*only), std::vector<std::string>{"CAP_NET_BIND_SERVICE"});
  EXPECT_EQ(capability_names(default_capabilities()).size(), 14u);
  EXPECT_EQ(*effective_capabilities({"ALL"}, {"CAP_CHOWN"}, false), all_capabilities());
  EXPECT_EQ(*effective_capabilities({}, {"ALL"}, true), all_capabilities());
  EXPECT_FALSE(*effective_capabilities({}, {"MKNOD"}, false) & capability_bit(27));
  EXPECT_EQ(*capability_number("CAP_SYS_ADMIN"), kCapSysAdmin);
  EXPECT_EQ(*capability_number("CHECKPOINT_RESTORE"), 40u);
}

TEST(Capabilities, AnUnknownOneNamesTheNearest) {
  const auto error = effective_capabilities({"NET_ADMN"}, {}, false).error();
  EXPECT_EQ(error.code, base::Errc::InvalidArgument);
  EXPECT_EQ(error.hints, std::vector<std::string>{"did you mean NET_ADMIN?"});
}

bool allows(const SeccompProfile& profile, std::string_view call) {
  return std::ranges::any_of(profile.rules, [&](const SeccompRule& rule) {
    return rule.errno_value == 0 && rule.arguments.empty() &&
           std::ranges::find(rule.calls, call) != rule.calls.end();
  });
}

TEST(SeccompProfile, PrivilegedCallsComeWithTheirCapability) {
  const SeccompProfile usual = default_seccomp_profile(default_capabilities());
  const SeccompProfile bare = default_seccomp_profile(0);
  const SeccompProfile admin = default_seccomp_profile(capability_bit(kCapSysAdmin));
  // The C library of newer images falls back from fchmodat2 on ENOSYS only.
  for (const char* call : {"read", "openat", "execve", "rseq", "arch_prctl", "fchmodat2"})
    EXPECT_TRUE(allows(bare, call)) << call;
  for (const char* call :
       {"mount", "unshare", "setns", "bpf", "keyctl", "add_key", "userfaultfd", "kexec_load",
        "reboot", "io_uring_setup", "clone", "init_module", "settimeofday", "swapon"}) {
    EXPECT_FALSE(allows(usual, call)) << call;
  }
  EXPECT_TRUE(allows(usual, "chroot"));
  EXPECT_FALSE(allows(bare, "chroot"));
  EXPECT_TRUE(allows(admin, "mount"));
  EXPECT_TRUE(allows(admin, "clone3"));
  EXPECT_EQ(usual.rules.back().calls, std::vector<std::string_view>{"clone3"});
  EXPECT_EQ(usual.rules.back().errno_value, static_cast<std::uint32_t>(ENOSYS));
}

TEST(SeccompProfile, NoCallIsListedTwice) {
  SeccompProfile profile = default_seccomp_profile(default_capabilities());
  auto& calls = profile.rules.front().calls;
  std::ranges::sort(calls);
  EXPECT_EQ(std::ranges::adjacent_find(calls), calls.end());
}

// --- cgroups
// ------------------------------------------------------------------------------------------------

std::string writes(CgroupVersion version, const nexus::ResourceLimits& limits,
                   std::string_view device = "8:0") {
  std::string text;
  for (const auto& write : *limit_writes(version, limits, device)) {
    text += fmt::format("{}{}={}\n", write.optional ? "?" : "", write.file, write.value);
  }
  return text;
}

TEST(CgroupPlan, LimitsBecomeFiles) {
  EXPECT_EQ(writes(CgroupVersion::V1, {32 << 20, 200, 20, 100, 0, 1000}),
            "?memory.memsw.limit_in_bytes=-1\nmemory.limit_in_bytes=33554432\n?memory.memsw.limit_"
            "in_bytes=33554432\n"
            "cpu.shares=20\ncpu.cfs_period_us=100000\ncpu.cfs_quota_us=20000\npids.max=100\n"
            "blkio.throttle.read_bps_device=8:0 0\nblkio.throttle.write_bps_device=8:0 1000\n");
  EXPECT_EQ(
      writes(CgroupVersion::V2, {32 << 20, 200, 1000, 100, 0, 1000}),
      "memory.max=33554432\n?memory.swap.max=0\ncpu.weight=39\ncpu.max=20000 100000\npids.max=100\n"
      "io.max=8:0 rbps=max wbps=1000\n");
}

TEST(CgroupPlan, NoLimitTakesAnOldOneAway) {
  EXPECT_EQ(
      writes(CgroupVersion::V1, {}, ""),
      "?memory.memsw.limit_in_bytes=-1\nmemory.limit_in_bytes=-1\n?memory.memsw.limit_in_bytes=-1\n"
      "cpu.shares=2\ncpu.cfs_period_us=100000\ncpu.cfs_quota_us=-1\npids.max=4096\n");
  EXPECT_EQ(
      writes(CgroupVersion::V2, {}),
      "memory.max=max\n?memory.swap.max=max\ncpu.weight=1\ncpu.max=max 100000\npids.max=4096\n"
      "?io.max=8:0 rbps=max wbps=max\n");
}

TEST(CgroupPlan, EdgesOfRanges) {
  EXPECT_EQ(cpu_shares({.cpu_millis_request = 1'000'000}), 262'144u);
  EXPECT_EQ(cpu_weight(262'144), 10'000u);
  EXPECT_EQ(cpu_weight(2), 1u);
  EXPECT_NE(writes(CgroupVersion::V1, {.cpu_millis_max = 1}).find("cfs_quota_us=1000\n"),
            std::string::npos);
  EXPECT_EQ(limit_writes(CgroupVersion::V1, {.io_read_bytes_per_second = 1}, "").error().code,
            base::Errc::Unsupported);
}

TEST(CgroupPlan, ReadsWhatTheKernelWrites) {
  EXPECT_EQ(keyed_value("oom_kill_disable 0\nunder_oom 0\noom_kill 2\n", "oom_kill"), 2u);
  EXPECT_EQ(keyed_value("oom 1\noom_kill 3\noom_group_kill 9\n", "oom_kill"), 3u);
  EXPECT_EQ(keyed_value("", "oom_kill"), 0u);
  EXPECT_EQ(single_value("4096\n"), 4096u);
  EXPECT_EQ(single_value("max\n"), 0u);
  const auto v1 = io_bytes(CgroupVersion::V1,
                           "8:0 Read 4096\n8:0 Write 1\n8:0 Sync 9\n8:16 Read 4\nTotal 5000\n");
  EXPECT_EQ(v1.read, 4100u);
  EXPECT_EQ(v1.written, 1u);
  const auto v2 =
      io_bytes(CgroupVersion::V2,
               "8:0 rbytes=10 wbytes=20 rios=1 wios=1 dbytes=0 dios=0\n8:16 rbytes=1 wbytes=2\n");
  EXPECT_EQ(v2.read, 11u);
  EXPECT_EQ(v2.written, 22u);
}

// --- logs
// -----------------------------------------------------------------------------------------------------

const base::WallTime kNow = *base::parse_rfc3339("2026-11-21T12:25:07.123456789Z");

std::string log_of(const std::vector<std::string>& reads, bool finish = true) {
  LogLines lines(false);
  std::string records;
  for (const auto& read : reads) lines.add(read, kNow, records);
  if (finish) lines.finish(kNow, records);
  std::string text;
  for (std::string_view rest = records; !rest.empty();) {
    const auto record = parse_log_record(rest.substr(0, rest.find('\n')));
    EXPECT_TRUE(record);
    text += record->partial ? "P:" : "F:";
    text += record->text.size() > 20 ? fmt::format("<{}>", record->text.size()) : record->text;
    text += "|";
    rest.remove_prefix(rest.find('\n') + 1);
  }
  return text;
}

TEST(LogLines, CutsReadsIntoLines) {
  EXPECT_EQ(log_of({"a\nb\n"}), "F:a|F:b|");
  EXPECT_EQ(log_of({"a", "b\nc"}), "F:ab|F:c|");
  EXPECT_EQ(log_of({"\n\n"}), "F:|F:|");
  EXPECT_EQ(log_of({"a"}, false), "");
  const std::string longest(kLogLineBytesMax, 'x');
  EXPECT_EQ(log_of({longest + "\n"}), "F:<16384>|");
  EXPECT_EQ(log_of({longest, "\n"}), "P:<16384>|F:|");
  EXPECT_EQ(log_of({longest + longest + "yz\nq"}), "P:<16384>|P:<16384>|F:yz|F:q|");
}

TEST(LogLines, HoldsNoMoreThanALine) {
  LogLines lines(true);
  std::string records;
  for (int i = 0; i < 100'000; ++i) lines.add("x", kNow, records);
  EXPECT_LE(lines.waiting(), kLogLineBytesMax);
}

TEST(LogRecord, ComesBackAsItWasWritten) {
  std::string records;
  append_log_record(records, kNow, true, true, "text with  spaces ");
  EXPECT_EQ(records, "2026-11-21T12:25:07.123456789Z stderr P text with  spaces \n");
  records.pop_back();
  const auto record = parse_log_record(records);
  EXPECT_EQ(record->time, kNow);
  EXPECT_TRUE(record->is_stderr);
  EXPECT_TRUE(record->partial);
  EXPECT_EQ(record->text, "text with  spaces ");
  for (const char* bad : {"", " ", "x", "2026-11-21T12:25:07Z stdin F x",
                          "2026-11-21T12:25:07Z stdout X x", "2026-11-21T12:25:07Z stdout F"}) {
    EXPECT_EQ(parse_log_record(bad).error().code, base::Errc::DataLoss) << bad;
  }
}

// --- files of a pod
// ---------------------------------------------------------------------------------------------

TEST(PodFiles, NameThePodAndItsServers) {
  nexus::PodSpec pod;
  pod.name = "web-1";
  pod.dns_searches = {"default.mesh", "mesh"};
  pod.dns_options = {"ndots:2"};
  pod.host_aliases = {{"10.1.2.3", "db.local"}};
  EXPECT_EQ(resolver_file(pod, {"fd00::1", "10.9.1.1"}),
            "nameserver fd00::1\nnameserver 10.9.1.1\nsearch default.mesh mesh\noptions ndots:2\n");
  pod.dns_servers = {"9.9.9.9"};
  EXPECT_TRUE(resolver_file(pod, {"fd00::1"}).starts_with("nameserver 9.9.9.9\n"));
  const std::string hosts = hosts_file(pod, {"fd00::2", "10.9.1.2"});
  EXPECT_NE(hosts.find("fd00::2\tweb-1\n10.9.1.2\tweb-1\n10.1.2.3\tdb.local\n"), std::string::npos);
  pod.hostname = "other";
  EXPECT_EQ(pod_hostname(pod), "other");
  pod.hostname = std::string(62, 'a') + "-5d4f9c7b6d-x2x7k";
  EXPECT_EQ(pod_hostname(pod), std::string(62, 'a'));
}

// --- checks
// -------------------------------------------------------------------------------------------------------

StartContainer good_container() {
  StartContainer start;
  start.spec.id = {"uid", "web"};
  start.image.layers = {std::string(64, 'a')};
  start.image.args = {"/bin/sh"};
  start.image.env = {"PATH=/bin"};
  return start;
}
CreatePod good_pod() {
  CreatePod create;
  create.spec.uid = "0b1e-uid";
  create.spec.name_space = "default";
  create.spec.name = "web";
  return create;
}

TEST(RequestChecks, WhatIsRightPasses) {
  EXPECT_TRUE(check(good_container()));
  EXPECT_TRUE(check(good_pod()));
  StartContainer start = good_container();
  start.spec.mounts = {{"data", "/var/lib/data/", "a/b", true}};
  start.image.working_directory = "/";
  EXPECT_TRUE(check(start)) << check(start).error().message;
}

template <class Request, class Change>
base::Errc after(Request request, Change change) {
  change(request);
  const auto result = check(request);
  return result ? base::Errc::Internal : result.error().code;
}

TEST(RequestChecks, AnFsGroupStaysWithinTheIdsOfItsVolumes) {
  CreatePod create = good_pod();
  create.spec.fs_group = 65'535;
  create.spec.volumes = {{"data", nexus::NamedVolume{"default/data"}}};
  EXPECT_TRUE(check(create));
  create.spec.host_users = true;
  EXPECT_TRUE(check(create));
  create.spec.fs_group = 65'536;
  EXPECT_EQ(check(create).error().message,
            "fsGroup 65536 cannot own volume data: files of named volumes have groups 0 to 65535");
  create.spec.volumes = {{"scratch", nexus::EmptyDirVolume{}}};
  EXPECT_TRUE(check(create)) << "made under the machine's ids";
  create.spec.host_users = false;
  EXPECT_EQ(check(create).error().code, base::Errc::InvalidArgument);
}

TEST(RequestChecks, LogsAreBounded) {
  const auto with = [](std::uint64_t bytes, std::uint32_t files) {
    return after(good_container(), [&](StartContainer& r) { r.logs = {bytes, files}; });
  };
  EXPECT_EQ(with(kLogFileBytesMin, 1), base::Errc::Internal) << "passes";
  EXPECT_EQ(with(kLogFileBytesMax, kLogFilesMax), base::Errc::Internal) << "passes";
  EXPECT_EQ(with(kLogFileBytesMin - 1, 1), base::Errc::InvalidArgument);
  EXPECT_EQ(with(kLogFileBytesMax + 1, 1), base::Errc::InvalidArgument);
  EXPECT_EQ(with(kLogFileBytesMin, 0), base::Errc::InvalidArgument);
  EXPECT_EQ(with(kLogFileBytesMin, kLogFilesMax + 1), base::Errc::InvalidArgument);
}

TEST(RequestChecks, NamesThatWouldLeaveTheirFolderAreRefused) {
  using base::Errc;
  for (const char* uid : {"", ".", "..", "a/b", "../x", "a\nb", "-a", ".hidden"}) {
    EXPECT_EQ(check(RemovePod{uid}).error().code, Errc::InvalidArgument) << uid;
  }
  EXPECT_EQ(check(RemovePod{std::string(129, 'a')}).error().code, Errc::InvalidArgument);
  for (const char* name : {"", "..", "a/b", "Web", "a_b", "-a"}) {
    EXPECT_EQ(check(Attach{{"uid", name}}).error().code, Errc::InvalidArgument) << name;
  }
  for (const char* path : {"", "/", "relative", "/a/../b", "/a//b", "/./a", "/proc", "/proc/sys"}) {
    EXPECT_EQ(
        after(good_container(), [&](auto& r) { r.spec.mounts = {{"data", path, "", false}}; }),
        Errc::InvalidArgument)
        << path;
  }
  EXPECT_EQ(
      after(good_container(), [](auto& r) { r.spec.mounts = {{"data", "/d", "../x", false}}; }),
      Errc::InvalidArgument);
  EXPECT_EQ(after(good_container(), [](auto& r) { r.image.layers = {"../../etc"}; }),
            Errc::InvalidArgument);
  for (const char* path : {"", "/abs", "../up", "a/../b", "..data", "a//b"}) {
    EXPECT_EQ(check(UpdateFiles{"uid", "v", {{path, "", 0644}}}).error().code,
              Errc::InvalidArgument)
        << path;
  }
  EXPECT_EQ(check(UpdateFiles{"uid", "v", {{"a", "", 0644}, {"a/b", "", 0644}}}).error().code,
            Errc::InvalidArgument);
  for (const char* name : {"", "../x", "a/../b", "/abs", "A", "a b"}) {
    EXPECT_EQ(
        after(good_pod(), [&](auto& r) { r.spec.volumes = {{"v", nexus::NamedVolume{name}}}; }),
        Errc::InvalidArgument)
        << name;
  }
  EXPECT_EQ(volume_folder_name("default/data"), "default_data");
}

TEST(RequestChecks, LinesAreNotSmuggledIntoFiles) {
  using base::Errc;
  EXPECT_EQ(after(good_pod(), [](auto& r) { r.spec.dns_servers = {"::1\nnameserver 6.6.6.6"}; }),
            Errc::InvalidArgument);
  EXPECT_EQ(after(good_pod(), [](auto& r) { r.spec.host_aliases = {{"::1", "a b"}}; }),
            Errc::InvalidArgument);
  EXPECT_EQ(after(good_pod(), [](auto& r) { r.spec.sysctls = {{"kernel.core_pattern", "|/x"}}; }),
            Errc::Unsupported);
  EXPECT_EQ(after(good_pod(), [](auto& r) { r.spec.sysctls = {{"net/../kernel/x", "1"}}; }),
            Errc::InvalidArgument);
  EXPECT_EQ(after(good_pod(),
                  [](auto& r) {
                    r.spec.host_network = true;
                    r.spec.sysctls = {{"net.ipv4.ip_forward", "1"}};
                  }),
            Errc::InvalidArgument);
  EXPECT_EQ(after(good_pod(), [](auto& r) { r.spec.sysctls = {{"net..x", "1"}}; }),
            Errc::InvalidArgument);
}

TEST(RequestChecks, WordsOfAProcess) {
  using base::Errc;
  EXPECT_EQ(after(good_container(), [](auto& r) { r.image.args.clear(); }), Errc::InvalidArgument);
  EXPECT_EQ(after(good_container(), [](auto& r) { r.image.env = {"novalue"}; }),
            Errc::InvalidArgument);
  EXPECT_EQ(after(good_container(), [](auto& r) { r.image.env = {"=x"}; }), Errc::InvalidArgument);
  EXPECT_EQ(after(good_container(), [](auto& r) { r.image.args = {"\xff"}; }),
            Errc::InvalidArgument);
  EXPECT_EQ(after(good_container(), [](auto& r) { r.image.args = {std::string("a\0b", 3)}; }),
            Errc::InvalidArgument);
  EXPECT_EQ(after(good_container(),
                  [](auto& r) { r.image.args = {"\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}; }),
            Errc::Internal);
  EXPECT_EQ(after(good_container(), [](auto& r) { r.image.args = {"\xed\xa0\x80"}; }),
            Errc::InvalidArgument);
  EXPECT_EQ(after(good_container(), [](auto& r) { r.image.stop_signal = 65; }),
            Errc::InvalidArgument);
  EXPECT_EQ(
      after(good_container(), [](auto& r) { r.spec.security.capabilities_add = {"EVERYTHING"}; }),
      Errc::InvalidArgument);
}

}  // namespace
}  // namespace hypermesh::keeper
