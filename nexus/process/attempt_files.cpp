#include "process/attempt_files.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <base/file.hpp>
#include <cerrno>
#include <chrono>
#include <thread>

#include "process/launch.hpp"
#include "process/log_scan.hpp"
#include "process/proc_files.hpp"

namespace nexus::process {

namespace {

using base::Errc;
using base::Result;

/// A supervisor that began when its daemon ended records its start within milliseconds.
constexpr std::chrono::milliseconds kStartLook{20};
constexpr int kStartLooksMax = 250;

Result<> make_folder(const Path& folder) {
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  if (!failed) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, failed);
  if (failed) return base::fail_errno(failed.value(), fmt::format("making {}", folder.string()));
  return {};
}

Result<> remove_tree(const Path& folder) {
  std::error_code failed;
  std::filesystem::remove_all(folder, failed);
  if (failed) return base::fail_errno(failed.value(), fmt::format("removing {}", folder.string()));
  return {};
}

/// Empty: there is none.
template <class Record>
Result<std::optional<Record>> read_record(const Path& path,
                                          Result<Record> (*decode)(std::string_view)) {
  auto text = base::read_file(path, kRecordBytesMax);
  if (!text && text.error().code == Errc::NotFound) return std::nullopt;
  if (!text) return std::unexpected(std::move(text).error());
  auto record = decode(*text);
  if (!record) return std::unexpected(base::wrap(std::move(record).error(), path.string()));
  return *std::move(record);
}

/// Whether a supervisor holds it.
bool is_locked(const Path& attempt) {
  const UniqueFd lock(::open((attempt / kLockFile).c_str(), O_RDWR | O_CLOEXEC));
  return lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

Result<FoundAttempt> find_attempt(const Places& places, const ContainerId& id,
                                  std::uint32_t attempt, base::WallTime now) {
  const Path folder = places.attempt(id.pod_uid, id.name, attempt);
  FoundAttempt found{.attempt = attempt, .facts = {}};
  for (int look = 0;; ++look) {
    TRY(found.facts, read_attempt(folder));
    const bool starting = found.facts.supervised && !found.facts.running && !found.facts.exit;
    if (!starting) break;
    if (look == kStartLooksMax) {
      return base::fail(Errc::Unavailable,
                        fmt::format("{} is still being started", folder.string()));
    }
    std::this_thread::sleep_for(kStartLook);
  }
  if (!found.facts.supervised) {
    TRY(found.facts, settle_attempt(folder, id, attempt, now));
  }
  return found;
}

}  // namespace

Result<> write_pod(const Places& places, const PodRecord& record) {
  TRY_DO(make_folder(places.pod(record.uid)));
  TRY_DO(make_folder(places.work(record.uid)));
  TRY_DO(make_folder(places.containers(record.uid)));
  return base::write_private_file(places.pod(record.uid) / kPodFile, encode(record));
}

Result<AttemptFacts> read_attempt(const Path& attempt) {
  AttemptFacts facts;
  // The lock first: when it is free, nothing is written any more.
  facts.supervised = is_locked(attempt);
  TRY(auto wanted, read_record<AttemptRecord>(attempt / kContainerFile, decode_attempt));
  TRY(facts.running, read_record<RunningRecord>(attempt / kRunningFile, decode_running));
  TRY(facts.exit, read_record<ExitRecord>(attempt / kExitFile, decode_exit));
  if (wanted) facts.wanted = *std::move(wanted);
  return facts;
}

Result<UniqueFd> begin_attempt(const Path& attempt, const AttemptRecord& record) {
  TRY_DO(make_folder(attempt));
  TRY_DO(base::write_private_file(attempt / kContainerFile, encode(record)));
  UniqueFd lock(::open((attempt / kLockFile).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) return base::fail_errno(errno, fmt::format("making {}", attempt.string()));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return base::fail(Errc::FailedPrecondition,
                      fmt::format("{} has a supervisor already", attempt.string()));
  }
  return lock;
}

Result<AttemptFacts> settle_attempt(const Path& folder, const ContainerId& id,
                                    std::uint32_t attempt, base::WallTime now) {
  TRY(AttemptFacts facts, read_attempt(folder));
  if (facts.running && !facts.exit) {
    kill_marked(mark_of(id, attempt), false);
    facts.exit = lost_exit(now);
    TRY_DO(base::write_private_file(folder / kExitFile, encode(*facts.exit)));
  }
  return facts;
}

Result<> remove_attempt(const Path& attempt) {
  return remove_tree(attempt);
}

void remove_older_attempts(const Path& container, std::uint32_t attempt) {
  for (const std::uint32_t each : attempts_in(container)) {
    if (each + 1 < attempt) (void)remove_tree(container / std::to_string(each));
  }
}

Result<std::vector<FoundPod>> find_pods(const Places& places, base::WallTime now) {
  TRY_DO(make_folder(places.pods()));
  std::vector<FoundPod> pods;
  std::error_code failed;
  for (const auto& entry : std::filesystem::directory_iterator(places.pods(), failed)) {
    const std::string uid = entry.path().filename();
    TRY(auto record, read_record<PodRecord>(entry.path() / kPodFile, decode_pod));
    if (uid.starts_with(kRemovedBeginning) || !record) {
      TRY_DO(remove_tree(entry.path()));
      continue;
    }
    FoundPod pod{.record = *std::move(record), .containers = {}};
    for (const auto& folder : std::filesystem::directory_iterator(places.containers(uid), failed)) {
      const std::string name = folder.path().filename();
      const auto attempts = attempts_in(folder.path());
      if (attempts.empty()) continue;
      TRY(FoundAttempt latest, find_attempt(places, {uid, name}, attempts.back(), now));
      pod.containers.push_back({name, std::move(latest)});
    }
    pods.push_back(std::move(pod));
  }
  if (failed) return base::fail_errno(failed.value(), places.pods().string());
  return pods;
}

Result<> remove_pod_folder(const Places& places, const std::string& uid) {
  std::error_code failed;
  std::filesystem::rename(places.pod(uid), places.removed(uid), failed);
  if (failed && failed != std::errc::no_such_file_or_directory)
    return base::fail_errno(failed.value(), fmt::format("removing {}", places.pod(uid).string()));
  return remove_tree(places.removed(uid));
}

}  // namespace nexus::process
