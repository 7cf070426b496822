#include "runtime/core/capabilities.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <base/nearest.hpp>

namespace hypermesh::keeper {
namespace {

// By number, as in linux/capability.h.
constexpr std::array<std::string_view, 41> kNames{"CHOWN",
                                                  "DAC_OVERRIDE",
                                                  "DAC_READ_SEARCH",
                                                  "FOWNER",
                                                  "FSETID",
                                                  "KILL",
                                                  "SETGID",
                                                  "SETUID",
                                                  "SETPCAP",
                                                  "LINUX_IMMUTABLE",
                                                  "NET_BIND_SERVICE",
                                                  "NET_BROADCAST",
                                                  "NET_ADMIN",
                                                  "NET_RAW",
                                                  "IPC_LOCK",
                                                  "IPC_OWNER",
                                                  "SYS_MODULE",
                                                  "SYS_RAWIO",
                                                  "SYS_CHROOT",
                                                  "SYS_PTRACE",
                                                  "SYS_PACCT",
                                                  "SYS_ADMIN",
                                                  "SYS_BOOT",
                                                  "SYS_NICE",
                                                  "SYS_RESOURCE",
                                                  "SYS_TIME",
                                                  "SYS_TTY_CONFIG",
                                                  "MKNOD",
                                                  "LEASE",
                                                  "AUDIT_WRITE",
                                                  "AUDIT_CONTROL",
                                                  "SETFCAP",
                                                  "MAC_OVERRIDE",
                                                  "MAC_ADMIN",
                                                  "SYSLOG",
                                                  "WAKE_ALARM",
                                                  "BLOCK_SUSPEND",
                                                  "AUDIT_READ",
                                                  "PERFMON",
                                                  "BPF",
                                                  "CHECKPOINT_RESTORE"};

constexpr std::array<std::string_view, 14> kDefaults{
    "AUDIT_WRITE",      "CHOWN",   "DAC_OVERRIDE", "FOWNER", "FSETID",  "KILL",   "MKNOD",
    "NET_BIND_SERVICE", "NET_RAW", "SETFCAP",      "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"};

std::string upper(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return result;
}

base::Result<CapabilitySet> set_of(const std::vector<std::string>& names) {
  CapabilitySet set = 0;
  for (const std::string& name : names) {
    if (upper(name) == "ALL") {
      set |= all_capabilities();
      continue;
    }
    TRY(const unsigned number, capability_number(name));
    set |= capability_bit(number);
  }
  return set;
}

}  // namespace

base::Result<unsigned> capability_number(std::string_view name) {
  std::string wanted = upper(name);
  if (wanted.starts_with("CAP_")) wanted.erase(0, 4);
  const auto found = std::ranges::find(kNames, wanted);
  if (found != kNames.end()) return static_cast<unsigned>(found - kNames.begin());
  base::Error error =
      base::make_error(base::Errc::InvalidArgument, fmt::format("unknown capability {}", name));
  const std::vector<std::string> known(kNames.begin(), kNames.end());
  if (const auto near = base::nearest(wanted, known)) {
    error = base::with_hint(std::move(error), fmt::format("did you mean {}?", *near));
  }
  return std::unexpected(std::move(error));
}

std::string capability_name(unsigned number) {
  return fmt::format("CAP_{}", kNames.at(number));
}

std::vector<std::string> capability_names(CapabilitySet set) {
  std::vector<std::string> names;
  for (unsigned i = 0; i < kNames.size(); ++i) {
    if (set & capability_bit(i)) names.push_back(capability_name(i));
  }
  return names;
}

CapabilitySet default_capabilities() {
  CapabilitySet set = 0;
  for (unsigned i = 0; i < kNames.size(); ++i) {
    if (std::ranges::find(kDefaults, kNames[i]) != kDefaults.end()) set |= capability_bit(i);
  }
  return set;
}

CapabilitySet all_capabilities() {
  return capability_bit(kNames.size()) - 1;
}

base::Result<CapabilitySet> effective_capabilities(const std::vector<std::string>& add,
                                                   const std::vector<std::string>& drop,
                                                   bool privileged) {
  TRY(const CapabilitySet added, set_of(add));
  TRY(const CapabilitySet dropped, set_of(drop));
  if (privileged) return all_capabilities();
  return (default_capabilities() & ~dropped) | added;
}

}  // namespace hypermesh::keeper
