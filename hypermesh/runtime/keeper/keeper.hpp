#pragma once

// The keeper: parent of every container of a node, and the only part of the product that needs
// root.
//
// It does what it is asked for, within what root allows (access_policy.hpp), and decides nothing
// else: no restarts, no order. What it does it writes down, so that its successor knows what there
// was (records.hpp):
//
//   <state>/pods/<uid>/                              record; hosts, resolv.conf, hostname, shm,
//                                                    volumes
//   <state>/pods/<uid>/containers/<name>/<attempt>/  record; while it runs upper, work, rootfs,
//                                                    mounts
//   <state>/logs/<uid>/<name>/<attempt>.log          the daemon may read these
//   <state>/layers/  <state>/volumes/
//   <run>/oci/  <run>/pods/<uid>/<name>-<attempt>/   what the OCI runtime reads and keeps; not on
//                                                    disk
//
// Namespaces live in descriptors of this process and mounts in its own mount namespace, so both
// vanish with it; containers do not, and its successor ends them: nobody else could learn how they
// end.

#include <base/log.hpp>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/core/access_policy.hpp"
#include "runtime/core/keeper_protocol.hpp"
#include "runtime/core/records.hpp"
#include "runtime/images/layer_store.hpp"
#include "runtime/keeper/container_io.hpp"
#include "runtime/keeper/node_network.hpp"
#include "runtime/keeper/oci_tool.hpp"
#include "runtime/keeper/sandboxes.hpp"
#include "runtime/keeper/volumes.hpp"

namespace hypermesh::keeper {

struct KeeperOptions {
  std::string state_folder;  ///< Exists, belongs to root.
  std::string run_folder;    ///< Likewise; better in memory.
  std::string cgroup;        ///< "/hypermesh-3fa01", of this node alone.
  gid_t log_group = 0;       ///< May read logs.
  /// The machine's ids from here on are this node's: 65536 for layers and named volumes, then as
  /// many for each pod.
  std::uint32_t id_base = 0x5000'0000;
  std::vector<std::string> oci_runtimes{"crun", "runc"};
  std::string unpacker_path;  ///< The program hypermesh-unpack.
  std::string copier_path;    ///< The program hypermesh-copy.
  AccessPolicy access;
  /// Sandboxes that are kept ready for pods to come.
  unsigned spare_sandboxes = 0;
  /// For one call of the OCI runtime; then it is killed.
  base::Duration oci_time_limit = std::chrono::seconds(30);
};

using ConnectionId = std::uint64_t;

struct Answer {
  Reply reply;
  std::vector<UniqueFd> fds;
};

/// Where events go.
class EventOutlet {
 public:
  virtual ~EventOutlet() = default;
  virtual void tell_all(const Event& event) = 0;
  virtual void tell(ConnectionId connection, std::uint64_t session, const SessionEnded& event) = 0;
};

class Keeper {
 public:
  /// Chooses an OCI runtime, ends what a predecessor left running and reads its records. All
  /// references are borrowed. Errors: Unsupported (no OCI runtime works here), FailedPrecondition
  /// (another keeper has the folder), and those of the file system.
  static base::Result<std::unique_ptr<Keeper>> open(KeeperOptions options, Loop& loop,
                                                    const base::Clock& clock, NodeNetwork& network,
                                                    EventOutlet& outlet, base::Log log);
  ~Keeper();

  Job<Answer> handle(ConnectionId connection, Request request, std::vector<UniqueFd> fds);
  /// Ends what the connection's sessions run.
  void connection_closed(ConnectionId connection);

  /// Ends every container, politely if there is `grace`, and takes everything away that this
  /// process made but records, volumes, layers and logs.
  Job<void> shut_down(base::Duration grace);
  /// After a PowerOff request was answered.
  bool powered_off() const { return powered_off_; }

  std::string oci_runtime() const { return calls_->tool().version; }
  CgroupVersion cgroup_version() const { return cgroups_->version(); }
  std::string log_folder() const { return options_.state_folder + "/logs"; }

 private:
  struct Container;
  struct Pod;
  struct Session;

  Keeper(KeeperOptions options, Loop& loop, const base::Clock& clock, NodeNetwork& network,
         EventOutlet& outlet, base::Log log);
  base::Result<> prepare_folders();
  base::Result<> recover();
  base::Result<> recover_pod(const std::string& uid);
  base::Result<> require_known_records(const std::string& uid) const;
  void recover_containers(Pod& pod);

  // Requests.
  Job<base::Result<nexus::PodStatus>> create_pod(CreatePod request);
  Job<base::Result<nexus::ContainerStatus>> start_container(StartContainer request);
  Job<base::Result<nexus::ContainerStatus>> stop_container(StopContainer request);
  /// Kills it after `grace`. Errors: TimedOut (also then it does not end).
  Job<base::Result<nexus::ContainerStatus>> await_end(std::shared_ptr<Container> container,
                                                      base::Duration grace);
  base::Result<> signal_container(const SignalContainer& request);
  base::Result<> set_limits(const SetLimits& request);
  base::Result<> update_files(const UpdateFiles& request);
  Job<base::Result<>> remove_pod(std::string uid);
  std::vector<nexus::PodStatus> list_pods() const;
  Job<base::Result<Answer>> exec(ConnectionId connection, Exec request);
  base::Result<Answer> attach(const Attach& request);
  Job<base::Result<UniqueFd>> connect(Connect request);
  Job<base::Result<UniqueFd>> host_socket(HostSocket request);
  base::Result<std::vector<nexus::ContainerStats>> stats(const Stats& request);
  Job<base::Result<LayerReply>> install_layer(InstallLayer request, UniqueFd blob);
  base::Result<LayersReply> list_layers();
  Job<base::Result<BytesFreed>> remove_layer(RemoveLayer request);
  Job<base::Result<Answer>> copy(ConnectionId connection, nexus::ContainerId id, std::string path,
                                 bool out);

  // Pods.
  base::Result<> make_sandbox(Pod& pod);
  Job<base::Result<>> give_volumes_to_group(const Pod& pod);
  base::Result<> write_pod_files(const Pod& pod);
  base::Result<> drop_sandbox(Pod& pod);
  Job<base::Result<>> clear_pod(Pod& pod);
  VolumePlace volume_place(const Pod& pod) const;
  std::string pod_folder(const std::string& uid) const {
    return options_.state_folder + "/pods/" + uid;
  }
  std::string log_folder_of(const std::string& uid) const { return log_folder() + "/" + uid; }
  std::string work_folder_of(const std::string& uid) const {
    return options_.run_folder + "/pods/" + uid;
  }
  nexus::PodStatus status_of(const Pod& pod) const;

  // Containers.
  Job<base::Result<>> run_container(Pod& pod, Container& container, const StartContainer& request);
  base::Result<OciContainer> plan_container(Pod& pod, Container& container,
                                            const StartContainer& request, const std::string& root);
  base::Result<> prepare_cgroup(const Container& container, const nexus::ResourceLimits& limits);
  Job<base::Result<pid_t>> launch(Pod& pod, Container& container, const StartContainer& request);
  void watch_container(Pod& pod, Container& container, pid_t pid);
  void container_ended(const std::string& uid, const std::string& name, std::uint32_t attempt,
                       int wait_status);
  Job<void> clear_attempt(Pod& pod, std::shared_ptr<Container> container);
  Job<void> forget_attempt(std::shared_ptr<Pod> pod, std::shared_ptr<Container> container);
  void kill_container(Container& container);
  base::Result<> write_record(const Container& container, bool durably);
  void forget_old_logs(const std::string& uid, const std::string& name, std::uint32_t attempt);
  void note_oom(const std::shared_ptr<Container>& container);

  base::Result<Pod*> find_pod(const std::string& uid);
  base::Result<Container*> find_container(const nexus::ContainerId& id);
  base::Result<Container*> find_running(const nexus::ContainerId& id);
  std::uint64_t open_session(ConnectionId connection, pid_t pid);
  /// The reply of `body`, which runs in a copy of this process with the descriptors `kept`. Errors:
  /// those that it answers, TimedOut.
  Job<base::Result<Reply>> ask_copy(std::function<Reply()> body, std::vector<int> kept,
                                    base::Duration limit);
  /// Runs `body` in a copy of this process. Errors: Internal when it answers other than 0.
  Job<base::Result<>> run_in_copy(std::function<int()> body, std::string what);

  KeeperOptions options_;
  Loop& loop_;
  const base::Clock& clock_;
  NodeNetwork& network_;
  EventOutlet& outlet_;
  base::Log log_;
  UniqueFd lock_;
  std::string boot_id_;
  std::string io_device_;
  std::unique_ptr<Cgroups> cgroups_;
  SeccompCompiler seccomp_;
  std::unique_ptr<OciCalls> calls_;
  std::unique_ptr<LayerStore> layers_;
  std::map<std::string, unsigned> layers_in_use_;  ///< Containers that run on each.
  std::set<std::string> layers_being_made_, layers_being_removed_;
  Signal layers_changed_;
  Sandboxes sandboxes_;
  std::map<std::string, std::shared_ptr<Pod>> pods_;
  /// Pods with records of a later version, which a keeper of that version goes on with: nothing of
  /// them is touched.
  std::map<std::string, base::Error> pods_of_later_;
  std::map<std::uint64_t, Session> sessions_;
  std::uint64_t next_session_ = 1;
  std::uint64_t next_console_ = 1;
  bool powered_off_ = false;
  bool shutting_down_ = false;
};

}  // namespace hypermesh::keeper
