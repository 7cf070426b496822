#include "runtime/core/oci_spec.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>

namespace hypermesh::keeper {
namespace {

using nlohmann::json;

// The keywords of JSON schema that the OCI's files use. Beyond the schema: a property that it does
// not know is a mistake of ours.
class Schema {
 public:
  explicit Schema(std::string folder) : folder_(std::move(folder)) {}

  std::vector<std::string> problems(const json& value) {
    problems_.clear();
    check(file("config-schema.json"), "config-schema.json", value, "$");
    return problems_;
  }

 private:
  const json& file(const std::string& name) {
    auto [at, is_new] = files_.try_emplace(name);
    if (is_new) {
      std::ifstream in(folder_ + "/" + name);
      if (in) at->second = json::parse(in);
    }
    return at->second;
  }

  // `open`: a part of a whole whose other parts know other properties.
  void check(const json& schema, const std::string& in_file, const json& value,
             const std::string& where, bool open = false) {
    if (schema.contains("$ref")) {
      const std::string ref = schema["$ref"];
      const std::size_t hash = ref.find('#');
      const std::string name = hash == 0 ? in_file : ref.substr(0, hash);
      return check(file(name).at(json::json_pointer(ref.substr(hash + 1))), name, value, where,
                   open);
    }
    if (schema.contains("type") && !is_of(schema["type"], value)) {
      problems_.push_back(where + " is no " + schema["type"].dump() + ": " + value.dump());
      return;
    }
    for (const auto& part : schema.value("allOf", json::array()))
      check(part, in_file, value, where, true);
    if (schema.contains("anyOf")) {
      const auto before = problems_;
      bool fits = false;
      for (const auto& part : schema["anyOf"]) {
        problems_.clear();
        check(part, in_file, value, where);
        if (problems_.empty()) fits = true;
      }
      problems_ = before;
      if (!fits) problems_.push_back(where + " fits no alternative: " + value.dump());
    }
    if (schema.contains("enum") &&
        std::ranges::find(schema["enum"], value) == schema["enum"].end()) {
      problems_.push_back(where + " is not allowed: " + value.dump());
    }
    if (schema.contains("pattern") &&
        !std::regex_search(value.get<std::string>(),
                           std::regex(schema["pattern"].get<std::string>()))) {
      problems_.push_back(where + " has the wrong form: " + value.dump());
    }
    if (schema.contains("minimum") && value.get<double>() < schema["minimum"].get<double>())
      problems_.push_back(where + " is too small");
    if (schema.contains("maximum") && value.get<double>() > schema["maximum"].get<double>())
      problems_.push_back(where + " is too large");
    if (value.is_array()) {
      if (value.size() < schema.value("minItems", 0u))
        problems_.push_back(where + " has too few items");
      for (std::size_t i = 0; schema.contains("items") && i < value.size(); ++i) {
        check(schema["items"], in_file, value[i], where + "[" + std::to_string(i) + "]");
      }
    }
    if (value.is_object()) check_object(schema, in_file, value, where, open);
  }

  void check_object(const json& schema, const std::string& in_file, const json& value,
                    const std::string& where, bool open) {
    for (const auto& name : schema.value("required", json::array())) {
      if (!value.contains(name.get<std::string>()))
        problems_.push_back(where + " lacks " + name.dump());
    }
    const bool closed =
        !open && schema.contains("properties") && !schema.contains("patternProperties");
    for (const auto& [name, member] : value.items()) {
      if (schema.contains("properties") && schema["properties"].contains(name)) {
        check(schema["properties"][name], in_file, member, where + "." + name);
      } else if (closed) {
        problems_.push_back(where + "." + name + " is unknown");
      }
    }
  }

  static bool is_of(const json& type, const json& value) {
    if (type.is_array())
      return std::ranges::any_of(type, [&](const json& one) { return is_of(one, value); });
    const std::string name = type;
    return (name == "object" && value.is_object()) || (name == "array" && value.is_array()) ||
           (name == "string" && value.is_string()) || (name == "boolean" && value.is_boolean()) ||
           (name == "integer" && value.is_number_integer()) ||
           (name == "number" && value.is_number()) || (name == "null" && value.is_null());
  }

  std::string folder_;
  std::map<std::string, json> files_;
  std::vector<std::string> problems_;
};

OciContainer container() {
  OciContainer c;
  c.root = "/run/x/rootfs";
  c.process.args = {"/bin/serve", "-v"};
  c.process.env = {"PATH=/bin"};
  c.process.uid = 1000;
  c.process.gid = 1001;
  c.process.groups = {10, 50};
  c.process.capabilities = default_capabilities();
  c.process.files_soft = 1024;
  c.process.files_hard = 4096;
  c.namespaces = {"/proc/1/fd/10", "/proc/1/fd/11", "/proc/1/fd/12", "/proc/1/fd/13"};
  c.ids = IdRange{1'342'177'280};
  c.shared_memory = "/p/shm";
  c.hosts = "/p/hosts";
  c.resolver = "/p/resolv.conf";
  c.hostname = "/p/hostname";
  c.volumes = {{"/data", "bind", "/p/volumes/data", {"rbind", "rw", "nosuid", "nodev"}}};
  c.cgroup = "/hypermesh-n1/p/web-0";
  return c;
}

TEST(OciSpec, IsWhatTheSchemaAsksFor) {
  std::map<std::string, OciContainer> cases;
  cases["usual"] = container();
  cases["with limits"] = container();
  cases["with limits"].limits = nexus::ResourceLimits{32 << 20, 200, 20, 100, 1000, 2000};
  cases["with limits"].io_device = "8:16";
  cases["compiled filter"] = container();
  cases["compiled filter"].seccomp_program = "AAAA";
  cases["terminal"] = container();
  cases["terminal"].process.terminal = true;
  cases["privileged"] = container();
  cases["privileged"].privileged = true;
  cases["privileged"].seccomp = false;
  cases["privileged"].ids.reset();
  cases["privileged"].namespaces.user.clear();
  cases["privileged"].limits = nexus::ResourceLimits{};
  cases["machine's network"] = container();
  cases["machine's network"].namespaces.network.clear();
  Schema schema(TEST_SOURCE_DIR "/testdata/oci-runtime-spec");
  for (const auto& [name, c] : cases) {
    EXPECT_EQ(schema.problems(json::parse(make_oci_config(c))), std::vector<std::string>{}) << name;
  }
}

TEST(OciSpec, TheCheckerFindsMistakes) {
  Schema schema(TEST_SOURCE_DIR "/testdata/oci-runtime-spec");
  json config = json::parse(make_oci_config(container()));
  config["process"]["user"]["uid"] = "root";
  EXPECT_EQ(schema.problems(config).size(), 1u);
  config = json::parse(make_oci_config(container()));
  config["linux"]["seccomp"]["defaultAction"] = "SCMP_ACT_MAYBE";
  config["linux"]["nonsense"] = 1;
  config.erase("ociVersion");
  EXPECT_EQ(schema.problems(config).size(), 3u);
}

TEST(OciSpec, AContainerIsConfined) {
  const json config = json::parse(make_oci_config(container()));
  EXPECT_TRUE(config["process"]["noNewPrivileges"]);
  EXPECT_EQ(config["process"]["capabilities"]["bounding"].size(), 14u);
  EXPECT_FALSE(config["process"]["capabilities"].contains("ambient"));
  EXPECT_FALSE(config["linux"]["seccomp"]["syscalls"].empty());
  EXPECT_EQ(config["linux"]["uidMappings"][0]["hostID"], 1'342'177'280);
  EXPECT_NE(config["linux"]["maskedPaths"].dump().find("/proc/kcore"), std::string::npos);
  std::set<std::string> namespaces;
  for (const auto& entry : config["linux"]["namespaces"]) namespaces.insert(entry["type"]);
  EXPECT_EQ(namespaces,
            (std::set<std::string>{"user", "network", "ipc", "uts", "pid", "mount", "cgroup"}));
  for (const auto& mount : config["mounts"]) {
    if (mount["destination"] == "/sys") {
      EXPECT_EQ(mount["options"].back(), "ro");
    }
  }
  EXPECT_FALSE(config["linux"].contains("resources"));
}

TEST(OciSpec, VolumesComeAfterWhatTheyMayCover) {
  const json config = json::parse(make_oci_config(container()));
  EXPECT_EQ(config["mounts"].back()["destination"], "/data");
}

TEST(OciSpec, ExecGetsTheProcessAlone) {
  const json process = json::parse(make_oci_process(container().process));
  EXPECT_EQ(process["args"][0], "/bin/serve");
  EXPECT_EQ(process["user"]["additionalGids"], (std::vector<int>{10, 50}));
}

TEST(OciSpec, PrivilegeNeedsTheMachinesUsers) {
  nexus::ContainerSecurity security;
  security.privileged = true;
  EXPECT_EQ(capabilities_of(security, false).error().code, base::Errc::FailedPrecondition);
  EXPECT_EQ(*capabilities_of(security, true), all_capabilities());
}

TEST(OciSpec, TheEnvironmentIsCompletedNotReplaced) {
  EXPECT_EQ(complete_env({"PATH=/x", "HOME=", "A=1"}, "/root", "web-1", true),
            (std::vector<std::string>{"PATH=/x", "HOME=", "A=1", "HOSTNAME=web-1", "TERM=xterm"}));
  EXPECT_EQ(complete_env({}, "/srv", "h", false).back(), "HOME=/srv");
}

}  // namespace
}  // namespace hypermesh::keeper
