#pragma once

#include <base/async/event.hpp>
#include <deque>
#include <functional>
#include <hypermesh/runtime.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace hypermesh {

/// A runtime in memory: pods start at once, containers end when the test says so.
///
/// Time is `now`, which the test moves. Every call of the interface is counted and recorded, and
/// can be made to fail once. Used from one executor.
class FakeRuntime final : public Runtime {
 public:
  struct ExecAnswer {
    std::string output, error_output;
    int exit_code = 0;
  };
  struct Container {
    nexus::ContainerSpec spec;
    nexus::ContainerStatus status;
    nexus::ResourceLimits limits;
    std::vector<nexus::LogRecord> log, previous_log;
    std::vector<int> signals;
  };
  struct Pod {
    nexus::PodSpec spec;
    std::vector<std::string> addresses;
    std::map<std::string, Container> containers;
  };

  explicit FakeRuntime(const base::Executor& executor) : changed_(executor) {}

  // --- What a test does
  // -------------------------------------------------------------------------------
  base::WallTime now{};
  /// A container that is asked to stop stays until exit_container() is called.
  bool ignore_stop = false;
  /// pull_image() finds any name; false: only those of add_image().
  bool any_image = true;
  std::function<ExecAnswer(const nexus::ExecSpec&)> on_exec;
  /// Names of the calls so far with what they were about: "start_container uid/name#attempt".
  std::vector<std::string> calls;

  void add_image(std::string reference, std::string user = "");
  /// The next call of that name fails: fail_next("create_pod", make_error(...)). Several queue up.
  void fail_next(const std::string& call, base::Error error) {
    failures_[call].push_back(std::move(error));
  }
  /// Ends a running container and tells the listener.
  void exit_container(const nexus::ContainerId& id, int exit_code, int signal = 0,
                      bool out_of_memory = false);
  void append_log(const nexus::ContainerId& id, std::string text, bool is_stderr = false);
  /// Until bring_back() every call fails as Unavailable; what runs goes on and can end.
  void lose();
  void bring_back();
  const std::map<std::string, Pod>& pods() const { return pods_; }
  const Container* find(const nexus::ContainerId& id) const;

  // --- Runtime
  // ----------------------------------------------------------------------------------------
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
  std::vector<PullProgress> pulls() const override { return {}; }

 private:
  base::Result<> begin(const std::string& call, const std::string& about);
  base::Result<Container*> running(const nexus::ContainerId& id);
  nexus::PodStatus status_of(const Pod& pod) const;
  void tell(nexus::DriverEvent::Kind kind, const nexus::ContainerStatus& status);

  base::Event changed_;
  std::function<void(nexus::DriverEvent)> listener_;
  std::map<std::string, std::deque<base::Error>> failures_;
  std::map<std::string, Pod> pods_;
  std::map<std::string, nexus::ImageStatus> images_;
  std::int32_t next_pid_ = 1000;
  std::uint32_t next_address_ = 2;
  bool lost_ = false;
};

}  // namespace hypermesh
