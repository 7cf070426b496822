#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <base/nearest.hpp>
#include <set>

#include "manifest/formats.hpp"
#include "manifest/rules.hpp"

namespace nexus::manifest {

namespace {

constexpr std::string_view kCapabilities[] = {"ALL",
                                              "AUDIT_CONTROL",
                                              "AUDIT_READ",
                                              "AUDIT_WRITE",
                                              "BLOCK_SUSPEND",
                                              "BPF",
                                              "CHECKPOINT_RESTORE",
                                              "CHOWN",
                                              "DAC_OVERRIDE",
                                              "DAC_READ_SEARCH",
                                              "FOWNER",
                                              "FSETID",
                                              "IPC_LOCK",
                                              "IPC_OWNER",
                                              "KILL",
                                              "LEASE",
                                              "LINUX_IMMUTABLE",
                                              "MAC_ADMIN",
                                              "MAC_OVERRIDE",
                                              "MKNOD",
                                              "NET_ADMIN",
                                              "NET_BIND_SERVICE",
                                              "NET_BROADCAST",
                                              "NET_RAW",
                                              "PERFMON",
                                              "SETFCAP",
                                              "SETGID",
                                              "SETPCAP",
                                              "SETUID",
                                              "SYSLOG",
                                              "SYS_ADMIN",
                                              "SYS_BOOT",
                                              "SYS_CHROOT",
                                              "SYS_MODULE",
                                              "SYS_NICE",
                                              "SYS_PACCT",
                                              "SYS_PTRACE",
                                              "SYS_RAWIO",
                                              "SYS_RESOURCE",
                                              "SYS_TIME",
                                              "SYS_TTY_CONFIG",
                                              "WAKE_ALARM"};

constexpr std::string_view kPodFields[] = {"metadata.name",
                                           "metadata.namespace",
                                           "metadata.uid",
                                           "spec.nodeName",
                                           "spec.serviceAccountName",
                                           "status.hostIP",
                                           "status.hostIPs",
                                           "status.podIP",
                                           "status.podIPs"};

/// A port by number or by the name of one of the container's ports.
void check_port(const View& port, const View& container, Report& report) {
  if (const auto number = port.integer()) {
    if (*number < 1 || *number > 65535)
      report.invalid(port, fmt::format("is {}; must be 1 to 65535", *number));
    return;
  }
  if (!port.is_string()) return;
  if (const auto wrong = check_port_name(port.text())) {
    return report.invalid(port, fmt::format("is \"{}\"; {}", port.text().substr(0, 80), *wrong));
  }
  const auto ports = container["ports"].items();
  const bool named =
      std::ranges::any_of(ports, [&](const View& p) { return p["name"].text() == port.text(); });
  if (!named) {
    report.note(port.path(),
                fmt::format("is \"{}\", but no port of the container has that name", port.text()));
  }
}

void check_handler(const View& handler, const View& container, Report& report) {
  if (handler["httpGet"].is_object()) check_port(handler["httpGet"]["port"], container, report);
  if (handler["tcpSocket"].is_object()) check_port(handler["tcpSocket"]["port"], container, report);
  if (handler["exec"].is_object() && handler["exec"]["command"].size() == 0) {
    report.required(handler["exec"]["command"]);
  }
}

void check_probe(const View& probe, const View& container, bool once, Report& report) {
  if (!probe.is_object()) return;
  check_exactly_one(probe, {"exec", "httpGet", "tcpSocket", "grpc"}, report, "a way to ask");
  check_handler(probe, container, report);
  if (const auto threshold = probe["successThreshold"].integer();
      once && threshold && *threshold > 1) {
    report.invalid(probe["successThreshold"], fmt::format("is {}; must be 1 here", *threshold));
  }
}

void check_env(const View& container, const PodNames& names, Report& report) {
  for (const View& variable : container["env"].items()) {
    const View from = variable["valueFrom"];
    if (!from.is_object()) continue;
    if (!variable["value"].text().empty())
      report.invalid(from, "must be absent when there is a value");
    check_exactly_one(
        from, {"fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"},
        report, "a source");
    check_field_ref(from["fieldRef"], report);
    check_resource_ref(from["resourceFieldRef"], names, /*needs_name=*/false, report);
  }
  for (const View& source : container["envFrom"].items()) {
    check_exactly_one(source, {"configMapRef", "secretRef"}, report, "a source");
  }
}

void check_ports(const View& container, bool host_network, Report& report) {
  std::set<std::string_view> names;
  for (const View& port : container["ports"].items()) {
    const View name = port["name"];
    if (!name.text().empty() && !names.insert(name.text()).second) {
      report.error(name.path(), Reason::Duplicate, fmt::format("is used twice: {}", name.text()));
    }
    const auto on_host = port["hostPort"].integer();
    if (on_host && host_network && on_host != port["containerPort"].integer()) {
      report.invalid(port["hostPort"], "must be equal to containerPort with hostNetwork");
    }
  }
}

/// What `others` says in the same words has been reported there; requests that were not given are
/// equal to their limits.
void check_amounts(const View& amounts, const View* others, Report& report) {
  for (std::string_view name : amounts.keys()) {
    const View view = amounts[name];
    if (others && (*others)[name].is_string() && (*others)[name].text() == view.text()) continue;
    const auto amount = view.amount();
    if (!amount) continue;
    if (amount->is_negative())
      report.invalid(view, fmt::format("is {}; must not be negative", amount->text()));
    if (name == "cpu") {
      const bool thousandths = *amount == Quantity::of_millis(amount->millis());
      if (!thousandths)
        report.invalid(view, fmt::format("is {}; must not be finer than 1m", amount->text()));
    } else if (name == "memory") {
      if (!amount->is_whole()) {
        report.note(view.path(), fmt::format("is {}, a fraction of a byte", amount->text()),
                    {"m is a thousandth; Mi is 2^20"});
      }
    } else if (name == "ephemeral-storage") {
      report.note(view.path(), "has no effect: local storage is not limited");
    } else if (!amount->is_zero()) {
      report.unsupported(view, "is not supported: no node offers it", {"use cpu and memory"});
    }
  }
}

void check_resources(const View& resources, Report& report) {
  const View requests = resources["requests"], limits = resources["limits"];
  check_amounts(limits, nullptr, report);
  check_amounts(requests, &limits, report);
  for (std::string_view name : requests.keys()) {
    const auto request = requests[name].amount(), limit = limits[name].amount();
    if (request && limit && *request > *limit) {
      report.invalid(requests[name], fmt::format("is {}; must not be above the limit {}",
                                                 request->text(), limit->text()));
    }
  }
}

void check_security(const View& security, Report& report) {
  bool adds_admin = false;
  for (std::string_view list : {"add", "drop"}) {
    for (const View& capability : security["capabilities"][list].items()) {
      std::string_view name = capability.text();
      if (!capability.is_string() ||
          std::ranges::find(kCapabilities, name) != std::end(kCapabilities)) {
        adds_admin = adds_admin || (list == "add" && (name == "SYS_ADMIN" || name == "ALL"));
        continue;
      }
      if (name.starts_with("CAP_")) name.remove_prefix(4);
      const std::vector<std::string> known(std::begin(kCapabilities), std::end(kCapabilities));
      std::vector<std::string> hints;
      if (auto near = base::nearest(name.substr(0, 40), known))
        hints.push_back(fmt::format("did you mean {}?", *near));
      report.error(capability.path(), Reason::NotInEnum,
                   fmt::format("is \"{}\"; must be a capability without CAP_",
                               capability.text().substr(0, 80)),
                   std::move(hints));
    }
  }
  const View escalation = security["allowPrivilegeEscalation"];
  if (!escalation.present() || escalation.truth(true)) return;
  if (security["privileged"].truth())
    report.invalid(escalation, "must not be false with privileged: true");
  if (adds_admin) report.invalid(escalation, "must not be false with capability SYS_ADMIN");
}

}  // namespace

void check_field_ref(const View& ref, Report& report) {
  if (!ref.is_object()) return;
  const View path = ref["fieldPath"], version = ref["apiVersion"];
  if (version.is_string() && version.text() != "v1") report.invalid(version, "must be v1");
  if (!path.is_string() || path.text().empty()) return;
  const std::string_view text = path.text();
  for (std::string_view prefix : {"metadata.labels['", "metadata.annotations['"}) {
    if (!text.starts_with(prefix) || !text.ends_with("']")) continue;
    const std::string_view key = text.substr(prefix.size(), text.size() - prefix.size() - 2);
    if (const auto wrong = check_label_key(key))
      report.invalid(path, fmt::format("names a key that {}", *wrong));
    return;
  }
  if (text == "metadata.labels" || text == "metadata.annotations") return;
  if (std::ranges::find(kPodFields, text) != std::end(kPodFields)) return;
  report.error(
      path.path(), Reason::NotInEnum,
      fmt::format(
          "is \"{}\"; must be metadata.labels['KEY'], metadata.annotations['KEY'] or one of {}",
          text.substr(0, 80), fmt::join(kPodFields, ", ")));
}

void check_resource_ref(const View& ref, const PodNames& names, bool needs_name, Report& report) {
  if (!ref.is_object()) return;
  const View name = ref["containerName"];
  if (!name.present()) {
    if (needs_name) report.required(name);
    return;
  }
  if (names.containers.contains(name.text())) return;
  report.error(name.path(), Reason::NotFound,
               fmt::format("is \"{}\", which is no container of the pod", name.text()));
}

bool check_exactly_one(const View& parent, std::initializer_list<std::string_view> keys,
                       Report& report, std::string_view what) {
  if (!parent.is_object()) return true;
  std::vector<std::string_view> given;
  for (std::string_view key : keys) {
    if (parent[key].present()) given.push_back(key);
  }
  if (given.size() == 1) return true;
  if (given.empty()) {
    report.required(parent, fmt::format("needs {}: one of {}", what, fmt::join(keys, ", ")));
  } else {
    report.forbidden(parent[given[1]],
                     fmt::format("must not stand beside {}: only one of them counts", given[0]));
  }
  return false;
}

void check_container(const View& container, const PodNames& names, bool is_init, Report& report) {
  check_env(container, names, report);
  check_ports(container, names.host_network, report);
  check_resources(container["resources"], report);
  check_security(container["securityContext"], report);
  for (const View& mount : container["volumeMounts"].items()) {
    const View name = mount["name"];
    if (!name.text().empty() && !names.volumes.contains(name.text())) {
      report.error(name.path(), Reason::NotFound,
                   fmt::format("is \"{}\", which is no volume of the pod", name.text()));
    }
    if (mount["mountPath"].text().contains(':'))
      report.invalid(mount["mountPath"], "must not contain \":\"");
  }
  for (std::string_view probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    const View view = container[probe];
    if (is_init && view.present()) {
      report.forbidden(view, "must not be set for an init container");
    } else {
      check_probe(view, container, probe != "readinessProbe", report);
    }
  }
  const View lifecycle = container["lifecycle"];
  if (is_init && lifecycle.present())
    report.forbidden(lifecycle, "must not be set for an init container");
  for (std::string_view when : {"postStart", "preStop"}) {
    const View handler = lifecycle[when];
    if (!handler.is_object()) continue;
    check_exactly_one(handler, {"exec", "httpGet", "sleep", "tcpSocket"}, report,
                      "something to do");
    check_handler(handler, container, report);
  }
  if (container["tty"].truth() && !container["stdin"].truth()) {
    report.note(container["tty"].path(), "without stdin shows a terminal that nobody can write to");
  }
}

}  // namespace nexus::manifest
