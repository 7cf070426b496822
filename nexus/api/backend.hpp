#pragma once

// Everything that the API server is given to work with. It fetches nothing itself.

#include <base/async/blocking_pool.hpp>
#include <base/log.hpp>
#include <base/metrics.hpp>
#include <base/random.hpp>
#include <base/time.hpp>
#include <filesystem>
#include <functional>
#include <nexus/image_admin.hpp>
#include <nexus/workload_driver.hpp>
#include <string>
#include <vector>

#include "objects/json.hpp"
#include "objects/object_store.hpp"

namespace nexus {
class AuditLog;
namespace orchestration {
class EventLog;
}
}  // namespace nexus

namespace nexus::api {

/// Something that a person should know, and what to do about it.
struct NodeProblem {
  std::string message, hint;
};
struct NodeInfo {
  std::string name;
  std::string state;           ///< "Starting", "Ready", "Degraded", "Stopping"
  std::string api, stoq, dns;  ///< "[fd00::1]:8443"; empty: it does not listen.
  std::string version;
  std::vector<std::string> addresses;
  base::WallTime started{};
  std::vector<NodeProblem> problems;
};

struct DoctorCheck {
  enum class State : std::uint8_t { Ok, Warning, Failed } state = State::Ok;
  std::string name, message, hint;
};

/// One key of the configuration, as it is in effect.
struct ConfigItem {
  std::string layer, key;
  std::string value;   ///< JSON
  std::string origin;  ///< "default", "/etc/hypermesh/nexus.yaml:7"
  std::string effect;  ///< Empty, or why it has none.
};

/// Borrowed by the server, and outliving it.
struct Backend {
  ObjectStore& objects;
  WorkloadDriver& driver;
  AuditLog& audit;
  orchestration::EventLog& events;
  ImageAdmin* images = nullptr;  ///< Null: images are not administered here (501).
  base::BlockingPool& pool;
  base::Metrics& metrics;
  const base::Clock& clock;
  base::Rng& rng;
  base::Log log;
  std::function<NodeInfo()> node;
  std::function<base::Task<std::vector<DoctorCheck>>()> doctor;
  std::function<std::vector<ConfigItem>()> configuration;
  /// Addresses for a Service that is about to be stored; `previous` is null for a new one. Called
  /// without a suspension before the write. Empty: a controller allots them afterwards.
  std::function<base::Result<>(Json& service, const Json* previous)> allot{};
  /// Called once for each call of `allot`, whatever it answered: the write has ended, or (`ended`
  /// false) nobody waits for its end.
  std::function<void(const ObjectRef& ref, bool ended)> settle{};
  /// The objects of a kind that is computed and not stored (Endpoints, EndpointSlice), of one
  /// namespace or of all. Empty: there are none.
  std::function<std::vector<Json>(std::string_view kind,
                                  const std::optional<std::string>& name_space)>
      computed{};
  std::filesystem::path spool;  ///< Folder for archives on their way; made when it is needed.
};

struct Limits {
  std::size_t body_bytes_max = 3u << 20;          ///< Of an object, a patch, options.
  std::uint64_t archive_bytes_max = 16ull << 30;  ///< Of an image archive or a copied tree.
  std::size_t connections_max = 1000;
  std::size_t watches_max = 1000;        ///< Watches and followed logs open at once.
  std::size_t sessions_max = 200;        ///< exec, attach, port-forward and copies.
  std::size_t slice_bytes = 128 * 1024;  ///< Of a list, before others have their turn.
  base::Duration bookmark_interval = std::chrono::seconds(60);
  base::Duration top_window_max = std::chrono::seconds(10);
  base::Duration pull_progress_interval = std::chrono::milliseconds(200);
  base::Duration stop_grace =
      std::chrono::seconds(2);  ///< For answers under way when the server stops.
};

}  // namespace nexus::api
