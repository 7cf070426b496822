#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "process/launch.hpp"
#include "process/log_record.hpp"
#include "process/proc_text.hpp"
#include "process/spec_checks.hpp"

namespace nexus::process {
namespace {

using base::Errc;
using testing::HasSubstr;

const base::WallTime kNow = *base::parse_rfc3339("2026-11-21T12:25:07.5Z");

PodSpec pod() {
  PodSpec spec;
  spec.uid = "11d5-a";
  spec.name_space = "default";
  spec.name = "web-1";
  spec.hostname = "web-1";
  spec.dns_searches = {"default.mesh", "mesh"};
  spec.dns_options = {"ndots:2"};
  return spec;
}

ContainerSpec container() {
  ContainerSpec spec;
  spec.id = {"11d5-a", "main"};
  spec.attempt = 2;
  spec.image = "/bin/sleep";
  spec.args = {"5"};
  return spec;
}

TEST(Image, IsTheAbsolutePathOfAProgram) {
  EXPECT_TRUE(check_image("/usr/bin/python3"));
  for (const char* reference : {"", "nginx:1.27", "docker.io/library/nginx", "bin/sh", "/bin/"}) {
    const auto refused = check_image(reference);
    ASSERT_FALSE(refused) << reference;
    EXPECT_EQ(refused.error().code, Errc::InvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr("the absolute path of a program"));
  }
}

struct Refused {
  const char* named;
  std::function<void(PodSpec&, ContainerSpec&)> edit;
};

TEST(Checks, RefuseByNameWhatAPlainProcessCannotHave) {
  const std::vector<Refused> cases = {
      {"volume v of kind emptyDir",
       [](PodSpec& p, ContainerSpec&) { p.volumes = {{"v", EmptyDirVolume{}}}; }},
      {"volume v of kind configMap",
       [](PodSpec& p, ContainerSpec&) { p.volumes = {{"v", FilesVolume{}}}; }},
      {"volume v of kind persistentVolumeClaim",
       [](PodSpec& p, ContainerSpec&) { p.volumes = {{"v", NamedVolume{"default/v"}}}; }},
      {"dnsConfig", [](PodSpec& p, ContainerSpec&) { p.dns_servers = {"192.0.2.1"}; }},
      {"dnsConfig", [](PodSpec& p, ContainerSpec&) { p.dns_searches.push_back("example.org"); }},
      {"hostAliases", [](PodSpec& p, ContainerSpec&) { p.host_aliases = {{"192.0.2.1", "a"}}; }},
      {"fsGroup", [](PodSpec& p, ContainerSpec&) { p.fs_group = 5; }},
      {"sysctls", [](PodSpec& p, ContainerSpec&) { p.sysctls["net.core.somaxconn"] = "9"; }},
      {"a limit of memory", [](PodSpec&, ContainerSpec& c) { c.resources.memory_bytes_max = 1; }},
      {"a limit of cpu", [](PodSpec&, ContainerSpec& c) { c.resources.cpu_millis_max = 1; }},
      {"a limit of processes", [](PodSpec&, ContainerSpec& c) { c.resources.processes_max = 1; }},
      {"a limit of disk traffic",
       [](PodSpec&, ContainerSpec& c) { c.resources.io_write_bytes_per_second = 1; }},
      {"runAsUser 7", [](PodSpec&, ContainerSpec& c) { c.security.user = 7; }},
      {"runAsGroup 7", [](PodSpec&, ContainerSpec& c) { c.security.group = 7; }},
      {"supplementalGroups",
       [](PodSpec&, ContainerSpec& c) { c.security.supplemental_groups = {7}; }},
      {"readOnlyRootFilesystem",
       [](PodSpec&, ContainerSpec& c) { c.security.read_only_root = true; }},
      {"privileged", [](PodSpec&, ContainerSpec& c) { c.security.privileged = true; }},
      {"added capabilities NET_RAW",
       [](PodSpec&, ContainerSpec& c) { c.security.capabilities_add = {"NET_RAW"}; }},
      {"stdin", [](PodSpec&, ContainerSpec& c) { c.stdin_open = true; }},
      {"tty", [](PodSpec&, ContainerSpec& c) { c.terminal = true; }},
      {"volume v at /data",
       [](PodSpec& p, ContainerSpec& c) {
         p.volumes = {{"v", HostPathVolume{"/srv"}}};
         c.mounts = {{"v", "/data", "", false}};
       }},
      {"volume v read-only",
       [](PodSpec& p, ContainerSpec& c) {
         p.volumes = {{"v", HostPathVolume{"/srv"}}};
         c.mounts = {{"v", "/srv/", "", true}};
       }},
  };
  for (const Refused& each : cases) {
    PodSpec spec = pod();
    ContainerSpec inside = container();
    each.edit(spec, inside);
    auto result = check_pod(spec);
    if (result) result = check_container(inside, record_of(spec), {1000, 1000});
    ASSERT_FALSE(result) << each.named;
    EXPECT_EQ(result.error().code, Errc::Unsupported) << each.named;
    EXPECT_THAT(result.error().message, HasSubstr(each.named));
  }
}

TEST(Checks, TakeWhatAPlainProcessHasAnyway) {
  PodSpec spec = pod();
  spec.volumes = {{"v", HostPathVolume{"/srv"}}};
  spec.host_network = true;
  ContainerSpec inside = container();
  inside.mounts = {{"v", "/srv", "", false}};
  inside.resources.cpu_millis_request = 100;
  inside.security.user = 1000;
  inside.security.run_as_non_root = true;
  inside.security.capabilities_drop = {"ALL"};
  EXPECT_TRUE(check_pod(spec));
  EXPECT_TRUE(check_container(inside, record_of(spec), {1000, 1000}));
  const auto as_root = check_container(inside, record_of(spec), {0, 0});
  ASSERT_FALSE(as_root);
  EXPECT_THAT(as_root.error().message, HasSubstr("runAsNonRoot (the daemon runs as root)"));
  EXPECT_THAT(as_root.error().message, HasSubstr("dropped capabilities ALL"));
}

TEST(Checks, NamesThatWouldLeaveTheFolderAreRefused) {
  for (const char* name : {"", ".", "..", "../x", "a/b", ".hidden", "a b"}) {
    EXPECT_FALSE(check_name(name, "a uid")) << name;
  }
  ContainerSpec spec = container();
  spec.env = {{"A=B", "c"}};
  EXPECT_EQ(check_container(spec, record_of(pod()), {1, 1}).error().code, Errc::InvalidArgument);
  spec = container();
  spec.working_directory = "relative";
  EXPECT_EQ(check_container(spec, record_of(pod()), {1, 1}).error().code, Errc::InvalidArgument);
}

TEST(LaunchOf, CommandReplacesTheImageAndVariablesHaveDefaults) {
  ContainerSpec spec = container();
  spec.env = {{"PATH", "/opt/bin"}, {"HYPERMESH_CONTAINER", "another"}};
  const Launch launch = launch_of(spec, record_of(pod()), "/var/pods/work");
  EXPECT_EQ(launch.arguments, (std::vector<std::string>{"/bin/sleep", "5"}));
  EXPECT_EQ(launch.folder, "/var/pods/work");
  EXPECT_EQ(launch.environment,
            (std::vector<std::string>{"PATH=/opt/bin", "HOME=/var/pods/work", "HOSTNAME=web-1",
                                      "HYPERMESH_CONTAINER=11d5-a/main/2"}));
  spec.command = {"sh", "-c"};
  spec.args = {"true"};
  spec.working_directory = "/tmp";
  const Launch other = launch_of(spec, record_of(pod()), "/w");
  EXPECT_EQ(other.arguments, (std::vector<std::string>{"sh", "-c", "true"}));
  EXPECT_EQ(other.folder, "/tmp");
  EXPECT_EQ(*decode_launch(encode(launch)), launch);
  EXPECT_EQ(beside(launch, {"env"}).environment, launch.environment);
}

TEST(LaunchOf, DamagedBytesAreRefusedAtEveryLength) {
  const base::Bytes whole = encode(launch_of(container(), record_of(pod()), "/w"));
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto cut = decode_launch(base::BytesView(whole).first(size));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().code, Errc::DataLoss);
  }
}

TEST(LaunchOf, WhyAProgramDidNotStartTravelsAsText) {
  const base::Error error = start_error(encode(StartFailure{2, "cannot start /bin/x"}));
  EXPECT_EQ(error.code, Errc::NotFound);
  EXPECT_THAT(error.message, HasSubstr("cannot start /bin/x"));
  EXPECT_EQ(start_error("?").code, Errc::Internal);
}

TEST(Records, ComeBackAsTheyWere) {
  const PodRecord pod_record{"u", "default", "web", "web", {{"v", "/srv"}}};
  EXPECT_EQ(*decode_pod(encode(pod_record)), pod_record);
  const RunningRecord running{{10, 100}, {11, 101}, kNow};
  EXPECT_EQ(*decode_running(encode(running)), running);
  const ExitRecord exit{143, 15, kNow, "why"};
  EXPECT_EQ(*decode_exit(encode(exit)), exit);
  EXPECT_EQ(*decode_attempt(encode(AttemptRecord{"/bin/sh"})), AttemptRecord{"/bin/sh"});
  for (const char* damaged : {"", "{", "[]", "{}", R"({"exitCode":"1"})"}) {
    EXPECT_EQ(decode_exit(damaged).error().code, Errc::DataLoss);
    EXPECT_EQ(decode_running(damaged).error().code, Errc::DataLoss);
    EXPECT_EQ(decode_pod(damaged).error().code, Errc::DataLoss);
  }
}

TEST(Status, FollowsFromWhatIsRecorded) {
  const ContainerId id{"u", "main"};
  AttemptFacts facts{.wanted = {"/bin/sh"}, .running = {}, .exit = {}, .supervised = false};
  EXPECT_EQ(status_of(id, 1, facts).state, ContainerState::Created);
  facts.running = RunningRecord{{10, 100}, {11, 101}, kNow};
  facts.supervised = true;
  EXPECT_EQ(status_of(id, 1, facts).state, ContainerState::Running);
  EXPECT_EQ(status_of(id, 1, facts).pid, 11);
  facts.exit = exit_of(0, 9, kNow);
  const ContainerStatus ended = status_of(id, 1, facts);
  EXPECT_EQ(ended.state, ContainerState::Exited);
  EXPECT_EQ(ended.exit_code, 137);
  EXPECT_EQ(ended.signal, 9);
  EXPECT_EQ(ended.pid, 0);
  EXPECT_EQ(exit_of(3, 0, kNow).exit_code, 3);
  EXPECT_EQ(lost_exit(kNow).exit_code, 137);
}

TEST(LogRecords, LinesAreCutAndComeBack) {
  LogCutter out(false);
  EXPECT_EQ(out.add("one\ntw", kNow), "2026-11-21T12:25:07.500000000Z stdout F one\n");
  EXPECT_EQ(
      out.add("o\n\n", kNow),
      "2026-11-21T12:25:07.500000000Z stdout F two\n2026-11-21T12:25:07.500000000Z stdout F \n");
  EXPECT_EQ(out.add("end", kNow), "");
  const std::string last = out.finish(kNow);
  const auto record = parse_log_record(std::string_view(last).substr(0, last.size() - 1));
  ASSERT_TRUE(record);
  EXPECT_EQ(record->text, "end");
  EXPECT_EQ(record->time, kNow);
  EXPECT_EQ(out.finish(kNow), "");

  LogCutter err(true);
  const std::string records = err.add(std::string(kLogTextBytesMax + 1, 'x') + "\n", kNow);
  const std::size_t first = records.find('\n');
  const auto part = parse_log_record(std::string_view(records).substr(0, first));
  ASSERT_TRUE(part);
  EXPECT_TRUE(part->partial && part->is_stderr);
  EXPECT_EQ(part->text.size(), kLogTextBytesMax);
  EXPECT_LE(first + 1, kLogRecordBytesMax);
  EXPECT_EQ(records.substr(records.size() - 5), " F x\n");
  for (const char* damaged :
       {"", "x", "2026-11-21T12:25:07Z stdin F x", "2026-11-21T12:25:07Z stdout X x"})
    EXPECT_FALSE(parse_log_record(damaged));
}

TEST(ProcText, TheNameOfAProcessMayHoldAnything) {
  const auto stat = parse_stat(
      "4711 (a) R (b) S 42 4711 4711 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2 3");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->parent, 42);
  EXPECT_EQ(stat->own_ticks, 11u);
  EXPECT_EQ(stat->waited_ticks, 15u);
  EXPECT_EQ(stat->start_ticks, 987654u);
  EXPECT_FALSE(parse_stat("4711 (x) S 42"));
  EXPECT_EQ(number_after("Rss:  10 kB\nPss:   7 kB\n", "Pss"), 7u);
  EXPECT_EQ(number_after("rchar: 1\nread_bytes: 9\n", "read_bytes"), 9u);
  EXPECT_EQ(number_after("", "Pss"), 0u);
}

TEST(ProcText, MarksAndDescendants) {
  const std::string environment{"A=1\0HYPERMESH_CONTAINER=u/main/1\0B=2\0", 37};
  EXPECT_TRUE(has_mark(environment, mark_of({"u", "main"}, 1), false));
  EXPECT_FALSE(has_mark(environment, mark_of({"u", "main"}, 11), false));
  EXPECT_FALSE(has_mark(environment, mark_of({"u", "ma"}, 1), false));
  EXPECT_TRUE(has_mark(environment, mark_of_pod("u"), true));
  EXPECT_FALSE(has_mark(environment, mark_of_pod("v"), true));
  const std::map<std::int32_t, ProcStat> stats = {
      {1, {}}, {2, {.parent = 1}}, {3, {.parent = 2}}, {4, {.parent = 3}}, {5, {.parent = 1}}};
  EXPECT_EQ(descendants(stats, 2), (std::set<std::int32_t>{3, 4}));
}

}  // namespace
}  // namespace nexus::process
