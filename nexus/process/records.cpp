#include "process/records.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace nexus::process {

namespace {

using Json = nlohmann::json;

constexpr int kSignalled = 128;  // Exit codes of killed processes begin here.
constexpr int kKilled = 9;

std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string at_time(base::WallTime time) {
  return base::to_rfc3339(time, 9);
}

/// Reads members; the first that is wrong is remembered.
class Members {
 public:
  Members(std::string_view text, std::string_view kind)
      : json_(Json::parse(text, nullptr, /*allow_exceptions=*/false)), kind_(kind) {}

  template <class T>
  T get(const char* name) {
    const Json* member = find(name);
    if (member != nullptr) {
      if constexpr (std::is_same_v<T, std::string>) {
        if (member->is_string()) return member->get<T>();
      } else {
        if (member->is_number_integer()) return member->get<T>();
      }
    }
    wrong(name);
    return {};
  }
  base::WallTime time(const char* name) {
    const auto parsed = base::parse_rfc3339(get<std::string>(name));
    if (!parsed) wrong(name);
    return parsed ? *parsed : base::WallTime{};
  }
  ProcessName process(const char* name) {
    const Json* member = find(name);
    if (member == nullptr) {
      wrong(name);
      return {};
    }
    Members inner(*member, kind_);
    const ProcessName out{inner.get<std::int32_t>("pid"), inner.get<std::uint64_t>("startTicks")};
    if (!inner.wrong_.empty()) wrong(name);
    return out;
  }
  std::map<std::string, std::string> texts(const char* name) {
    std::map<std::string, std::string> out;
    const Json* member = find(name);
    if (member == nullptr || !member->is_object()) {
      wrong(name);
      return out;
    }
    for (const auto& [key, value] : member->items()) {
      if (value.is_string()) {
        out[key] = value.get<std::string>();
      } else {
        wrong(name);
      }
    }
    return out;
  }
  base::Result<> end() const {
    if (wrong_.empty()) return {};
    return base::fail(base::Errc::DataLoss,
                      fmt::format("the record of {} is damaged at \"{}\"", kind_, wrong_));
  }

 private:
  Members(Json json, std::string_view kind) : json_(std::move(json)), kind_(kind) {}
  const Json* find(const char* name) const {
    if (!json_.is_object()) return nullptr;
    const auto found = json_.find(name);
    return found == json_.end() ? nullptr : &*found;
  }
  void wrong(const char* name) {
    if (wrong_.empty()) wrong_ = name;
  }

  Json json_;
  std::string_view kind_;
  std::string wrong_;
};

Json to_json(const ProcessName& process) {
  return {{"pid", process.pid}, {"startTicks", process.start_ticks}};
}

}  // namespace

std::string encode(const PodRecord& record) {
  return dump({{"uid", record.uid},
               {"namespace", record.name_space},
               {"name", record.name},
               {"hostname", record.hostname},
               {"hostPaths", record.host_paths}});
}
std::string encode(const AttemptRecord& record) {
  return dump({{"image", record.image}});
}
std::string encode(const RunningRecord& record) {
  return dump({{"supervisor", to_json(record.supervisor)},
               {"process", to_json(record.process)},
               {"started", at_time(record.started)}});
}
std::string encode(const ExitRecord& record) {
  return dump({{"exitCode", record.exit_code},
               {"signal", record.signal},
               {"finished", at_time(record.finished)},
               {"message", record.message}});
}

base::Result<PodRecord> decode_pod(std::string_view json) {
  Members members(json, "a pod");
  PodRecord record{.uid = members.get<std::string>("uid"),
                   .name_space = members.get<std::string>("namespace"),
                   .name = members.get<std::string>("name"),
                   .hostname = members.get<std::string>("hostname"),
                   .host_paths = members.texts("hostPaths")};
  TRY_DO(members.end());
  return record;
}
base::Result<AttemptRecord> decode_attempt(std::string_view json) {
  Members members(json, "a container");
  AttemptRecord record{members.get<std::string>("image")};
  TRY_DO(members.end());
  return record;
}
base::Result<RunningRecord> decode_running(std::string_view json) {
  Members members(json, "a process");
  RunningRecord record{.supervisor = members.process("supervisor"),
                       .process = members.process("process"),
                       .started = members.time("started")};
  TRY_DO(members.end());
  return record;
}
base::Result<ExitRecord> decode_exit(std::string_view json) {
  Members members(json, "an end");
  ExitRecord record{.exit_code = members.get<std::int32_t>("exitCode"),
                    .signal = members.get<std::int32_t>("signal"),
                    .finished = members.time("finished"),
                    .message = members.get<std::string>("message")};
  TRY_DO(members.end());
  return record;
}

ExitRecord exit_of(int code, int signal, base::WallTime finished) {
  return {.exit_code = signal != 0 ? kSignalled + signal : code,
          .signal = signal,
          .finished = finished,
          .message = {}};
}

ExitRecord lost_exit(base::WallTime noticed) {
  return {.exit_code = kSignalled + kKilled,
          .signal = kKilled,
          .finished = noticed,
          .message = "its supervisor was killed, or the machine went down"};
}

ContainerStatus status_of(ContainerId id, std::uint32_t attempt, const AttemptFacts& facts) {
  ContainerStatus status{.id = std::move(id), .attempt = attempt, .image = facts.wanted.image};
  if (facts.running) status.started = facts.running->started;
  if (facts.exit) {
    status.state = ContainerState::Exited;
    status.exit_code = facts.exit->exit_code;
    status.signal = facts.exit->signal;
    status.finished = facts.exit->finished;
    status.message = facts.exit->message;
  } else if (facts.running && facts.supervised) {
    status.state = ContainerState::Running;
    status.pid = facts.running->process.pid;
  }
  return status;
}

}  // namespace nexus::process
