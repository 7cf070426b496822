#pragma once

#include <base/config/effective.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <nexus/address_allocator.hpp>
#include <nexus/image_admin.hpp>
#include <nexus/orchestrator.hpp>
#include <nexus/service_network.hpp>
#include <nexus/workload_driver.hpp>
#include <string>
#include <vector>

#include "api/backend.hpp"
#include "node/storage.hpp"

namespace nexus {

/// What one machine is to the others and to people.
struct NodeConfig {
  std::string name;
  std::vector<std::string>
      addresses;                      ///< The node's own, IPv6 first: DNS and the API answer there.
  std::vector<std::string> prefixes;  ///< Of the cluster: "fd5e:1:2::/48"; DNS knows their names.
  std::filesystem::path state, run;   ///< Folders of the daemon's own; made when missing.
  std::string version;
  StorageOptions storage;
  bool runs_workloads = true;  ///< Besides nexus.orchestration.enabled.
  std::string stoq;            ///< Where STOQ listens: "[fd5e:1:2:1::1]:9292"; empty: nowhere.
};

/// What the layers around this one give it. All borrowed; they outlive the node.
struct NodeParts {
  WorkloadDriver& driver;
  ServiceNetwork& network;
  AddressAllocator& service_addresses;
  ImageAdmin* images = nullptr;  ///< Null: the driver has no images to administer.
  /// What is wrong with them now, and what was looked at. May be empty.
  std::function<std::vector<api::NodeProblem>()> problems{};
  std::function<std::vector<api::DoctorCheck>()> checks{};
};

/// This layer on one machine: state, orchestration, names and the API, from open to stop.
class Node {
 public:
  virtual ~Node() = default;
  virtual Orchestrator& orchestrator() = 0;
  /// What the node says of itself (GET /apis/hypermesh.io/v1/node).
  virtual api::NodeInfo info() const = 0;
  /// Answers nothing more, ends all work and writes what is to be written. Await before
  /// destruction.
  virtual base::Task<> stop() = 0;
};

/// Assembles the layer on one machine; the one place that names concrete classes.
class NodeBuilder {
 public:
  /// `config` is the effective configuration and outlives the node. `key` signs receipts; borrowed.
  NodeBuilder(NodeBasics basics, const base::config::Effective& effective, NodeConfig config,
              const base::SigningKey& key, NodeParts parts)
      : basics_(std::move(basics)),
        effective_(effective),
        config_(std::move(config)),
        key_(key),
        parts_(std::move(parts)) {}

  /// Opens the state, takes over what runs and begins to answer, in this order. Errors: of the
  /// state, and of addresses that cannot be listened on; nothing is left open then.
  base::Task<base::Result<std::unique_ptr<Node>>> build();

 private:
  NodeBasics basics_;
  const base::config::Effective& effective_;
  NodeConfig config_;
  const base::SigningKey& key_;
  NodeParts parts_;
};

}  // namespace nexus
