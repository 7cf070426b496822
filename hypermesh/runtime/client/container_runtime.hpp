#pragma once

#include <hypermesh/runtime.hpp>
#include <map>

#include "runtime/client/keeper_client.hpp"
#include "runtime/images/image_service.hpp"

namespace base {
class BlockingPool;
}

namespace hypermesh {

/// The runtime of a node: images through the ImageService, everything that needs privilege through
/// the keeper.
///
/// The keeper, not this object, is the record of what runs: it can be made anew at any time. All
/// references are borrowed and outlive it, and the sessions, readers and streams that it hands out.
class ContainerRuntime final : public Runtime {
 public:
  ContainerRuntime(KeeperClient& keeper, ImageService& images, base::BlockingPool& pool,
                   base::Log log, keeper::LogLimits logs = {});
  ~ContainerRuntime() override;

  /// Takes leases of the images that existing containers run from. Once after the keeper is
  /// connected; until then no image is removed and no garbage collected.
  base::Task<base::Result<>> adopt();
  /// Called after the keeper was started anew: it knows no table of services.
  void on_new_keeper(std::function<void()> call) { new_keeper_ = std::move(call); }

  base::Task<base::Result<nexus::ImageStatus>> pull_image(
      std::string reference, nexus::PullPolicy policy,
      std::optional<nexus::RegistryCredentials> credentials) override;
  base::Task<base::Result<nexus::PodStatus>> create_pod(nexus::PodSpec spec) override;
  base::Task<base::Result<nexus::ContainerStatus>> start_container(
      nexus::ContainerSpec spec) override;
  base::Task<base::Result<nexus::ContainerStatus>> stop_container(nexus::ContainerId id,
                                                                  base::Duration grace) override;
  base::Task<base::Result<>> signal_container(nexus::ContainerId id, int signal) override;
  base::Task<base::Result<>> set_limits(nexus::ContainerId id,
                                        nexus::ResourceLimits limits) override;
  base::Task<base::Result<>> update_files(std::string pod_uid, std::string volume,
                                          std::vector<nexus::VolumeFile> files) override;
  base::Task<base::Result<>> remove_pod(std::string uid) override;
  base::Task<base::Result<std::vector<nexus::PodStatus>>> list_pods() override;
  base::Task<base::Result<std::unique_ptr<nexus::ProcessSession>>> exec(
      nexus::ExecSpec spec) override;
  base::Task<base::Result<std::unique_ptr<nexus::ProcessSession>>> attach(
      nexus::ContainerId id) override;
  base::Task<base::Result<std::unique_ptr<nexus::LogReader>>> logs(nexus::LogQuery query) override;
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> connect(std::string pod_uid,
                                                                      std::uint16_t port) override;
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> copy_out(nexus::ContainerId id,
                                                                       std::string path) override;
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> copy_in(nexus::ContainerId id,
                                                                      std::string path) override;
  base::Task<base::Result<std::vector<nexus::ContainerStats>>> stats(std::string pod_uid) override;
  void listen(std::function<void(nexus::DriverEvent)> listener) override {
    listener_ = std::move(listener);
  }

  base::Task<base::Result<std::vector<ImageSummary>>> list_images() override;
  base::Task<base::Result<std::vector<std::string>>> import_image(std::string path,
                                                                  std::string reference) override;
  base::Task<base::Result<>> export_image(std::string reference, std::string path) override;
  base::Task<base::Result<std::string>> inspect_image(std::string reference) override;
  base::Task<base::Result<>> remove_image(std::string reference) override;
  base::Task<base::Result<GarbageReport>> collect_garbage() override;
  std::vector<PullProgress> pulls() const override { return images_.pulls(); }

  /// Hands a table of services to the datapath in the keeper
  /// (datapath::KeeperServiceNetwork::Send).
  base::Task<base::Result<>> apply_services(base::Bytes table);

 private:
  base::Result<> require_adopted() const;

  KeeperClient& keeper_;
  ImageService& images_;
  base::BlockingPool& pool_;
  base::Log log_;
  const keeper::LogLimits logs_;
  std::function<void(nexus::DriverEvent)> listener_;
  std::function<void()> new_keeper_;
  std::map<nexus::ContainerId, ImageLease> leases_;
  bool adopted_ = false;
};

}  // namespace hypermesh
