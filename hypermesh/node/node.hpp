#pragma once

#include <base/async/blocking_pool.hpp>
#include <base/async/task_scope.hpp>
#include <base/log.hpp>
#include <base/random.hpp>
#include <base/time.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "datapath/addressing.hpp"
#include "datapath/keeper_service_network.hpp"
#include "node/address_plan.hpp"
#include "node/runtime_images.hpp"
#include "runtime/client/container_runtime.hpp"

namespace hypermesh {

struct NodeConfig {
  datapath::NodeIdentity identity;
  std::string keeper_socket;
  std::filesystem::path state;  ///< Folder of the daemon's own files; exists.
  keeper::LogLimits logs;       ///< Of each container.
};

/// What this layer does on one machine: containers, their images, their network.
class Node {
 public:
  Runtime& runtime() { return runtime_; }
  nexus::ServiceNetwork& services() { return services_; }
  nexus::AddressAllocator& service_addresses() { return service_addresses_; }
  nexus::ImageAdmin& images() { return images_; }

  bool keeper_connected() const { return ground_->keeper.connected(); }
  /// "crun 1.8.1, cgroups v1"; empty before the first connection.
  std::string keeper_description() const;

  /// Await before destruction. Containers keep running.
  base::Task<> stop();

 private:
  friend class NodeBuilder;
  static constexpr unsigned kTransfersMax = 3;  // layers at once
  /// What the runtime stands on, made before it and gone after it.
  struct Ground {
    Ground(const base::Executor& executor, std::string keeper_socket, base::Log log)
        : keeper(executor, std::move(keeper_socket), std::move(log)) {}
    base::BlockingPool image_threads{kTransfersMax + 1};
    KeeperClient keeper;
    std::unique_ptr<ImageService> images;
  };
  Node(const base::Executor& executor, base::BlockingPool& pool, const base::Log& log,
       const NodeConfig& config, std::unique_ptr<Ground> ground);
  base::Task<> adopt();
  base::Task<> tell_new_keeper();

  base::Log log_;
  std::unique_ptr<Ground> ground_;
  ContainerRuntime runtime_;
  datapath::KeeperServiceNetwork services_;
  AddressPlan service_addresses_;
  RuntimeImages images_;
  base::TaskScope scope_;
};

/// Assembles the layer on one machine; the one place that names concrete classes.
class NodeBuilder {
 public:
  /// All are borrowed and outlive the node; `rng` is thread safe.
  NodeBuilder(base::Executor executor, base::BlockingPool& pool, const base::Clock& clock,
              base::Rng& rng, base::Log log, NodeConfig config)
      : executor_(std::move(executor)),
        pool_(pool),
        clock_(clock),
        rng_(rng),
        log_(std::move(log)),
        config_(std::move(config)) {}
  /// Begins to connect to the keeper, and does not wait for it. Errors: those of ImageStore::open.
  base::Task<base::Result<std::unique_ptr<Node>>> build();

 private:
  base::Executor executor_;
  base::BlockingPool& pool_;
  const base::Clock& clock_;
  base::Rng& rng_;
  base::Log log_;
  NodeConfig config_;
};

}  // namespace hypermesh
