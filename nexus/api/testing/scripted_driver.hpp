#pragma once

// A workload driver whose containers do what their command's first word says. For tests of the API.
//
//   echo WORDS   prints them          fail N  exits with N          both  prints to both streams
//   cat          prints its input     wait    runs until it is ended

#include <base/async/channel.hpp>
#include <deque>
#include <map>
#include <nexus/workload_driver.hpp>

namespace nexus::api {

class ScriptedSession final : public ProcessSession {
 public:
  ScriptedSession(const base::Executor& executor, std::vector<std::string> command, int& living)
      : output_(executor, 100), command_(std::move(command)), living_(living) {
    ++living_;
    start();
  }
  ~ScriptedSession() override { --living_; }

  base::Task<base::Result<std::optional<OutputChunk>>> read_output() override {
    co_return co_await output_.receive();
  }
  base::Task<base::Result<>> write_input(base::BytesView bytes) override {
    if (command_[0] == "cat") (void)co_await output_.send({false, {bytes.begin(), bytes.end()}});
    co_return base::Result<>{};
  }
  base::Task<base::Result<>> close_input() override {
    if (command_[0] == "cat") output_.close();
    co_return base::Result<>{};
  }
  base::Task<base::Result<>> resize(std::uint16_t rows, std::uint16_t columns) override {
    print(false, std::to_string(rows) + "x" + std::to_string(columns));
    co_return base::Result<>{};
  }
  base::Task<base::Result<int>> wait() override {
    co_return command_[0] == "fail" ? std::stoi(command_[1]) : 0;
  }

 private:
  void start() {
    if (command_[0] == "echo") {
      for (std::size_t i = 1; i < command_.size(); ++i) print(false, command_[i]);
    } else if (command_[0] == "both") {
      print(false, "out");
      print(true, "err");
    }
    if (command_[0] != "cat" && command_[0] != "wait") output_.close();
  }
  void print(bool to_error, std::string_view text) {
    const auto view = base::as_bytes(text);
    output_.try_send({to_error, {view.begin(), view.end()}});
  }

  base::Channel<OutputChunk> output_;
  std::vector<std::string> command_;
  int& living_;
};

/// Gives back what is written to it, and its end.
class EchoStream final : public base::ByteStream {
 public:
  explicit EchoStream(const base::Executor& executor) : bytes_(executor, 100) {}
  base::Task<base::Result<base::Bytes>> read() override {
    co_return (co_await bytes_.receive()).value_or(base::Bytes());
  }
  base::Task<base::Result<>> write(base::BytesView bytes) override {
    (void)co_await bytes_.send({bytes.begin(), bytes.end()});
    co_return base::Result<>{};
  }
  void close_write() override { bytes_.close(); }
  void close() override { bytes_.close(); }

 private:
  base::Channel<base::Bytes> bytes_;
};

class ScriptedDriver final : public WorkloadDriver {
 public:
  explicit ScriptedDriver(base::Executor executor)
      : executor_(std::move(executor)), log_grew_(executor_) {}

  std::vector<PodStatus> pods;
  std::vector<LogRecord> log;                ///< Of every container.
  std::optional<base::Error> error;          ///< What every call fails with.
  std::map<std::string, std::string> files;  ///< By path: what copy_out gives and copy_in got.
  std::vector<std::string> calls;
  int sessions = 0;  ///< That have not ended.
  base::Duration pull_time{0};

  void append_log(LogRecord record) {
    log.push_back(std::move(record));
    log_grew_.notify();
  }

  base::Task<base::Result<ImageStatus>> pull_image(std::string reference, PullPolicy,
                                                   std::optional<RegistryCredentials>) override {
    calls.push_back("pull " + reference);
    if (pull_time.count() > 0) co_await base::sleep_for(pull_time);
    if (error) co_return std::unexpected(*error);
    co_return ImageStatus{reference, reference + "@sha256:00", 100, ""};
  }
  base::Task<base::Result<PodStatus>> create_pod(PodSpec) override { return unused<PodStatus>(); }
  base::Task<base::Result<ContainerStatus>> start_container(ContainerSpec) override {
    return unused<ContainerStatus>();
  }
  base::Task<base::Result<ContainerStatus>> stop_container(ContainerId, base::Duration) override {
    return unused<ContainerStatus>();
  }
  base::Task<base::Result<>> signal_container(ContainerId, int) override { return unused<void>(); }
  base::Task<base::Result<>> set_limits(ContainerId, ResourceLimits) override {
    return unused<void>();
  }
  base::Task<base::Result<>> update_files(std::string, std::string,
                                          std::vector<VolumeFile>) override {
    return unused<void>();
  }
  base::Task<base::Result<>> remove_pod(std::string) override { return unused<void>(); }
  base::Task<base::Result<std::vector<PodStatus>>> list_pods() override { co_return pods; }

  base::Task<base::Result<std::unique_ptr<ProcessSession>>> exec(ExecSpec spec) override {
    calls.push_back("exec " + spec.container.name + " " + spec.command[0]);
    if (error) co_return std::unexpected(*error);
    co_return std::make_unique<ScriptedSession>(executor_, spec.command, sessions);
  }
  base::Task<base::Result<std::unique_ptr<ProcessSession>>> attach(ContainerId id) override {
    calls.push_back("attach " + id.name);
    if (error) co_return std::unexpected(*error);
    co_return std::make_unique<ScriptedSession>(executor_, std::vector<std::string>{"cat"},
                                                sessions);
  }
  base::Task<base::Result<std::unique_ptr<LogReader>>> logs(LogQuery query) override {
    calls.push_back("logs " + query.container.name + (query.previous ? " previous" : ""));
    if (error) co_return std::unexpected(*error);
    co_return std::make_unique<Reader>(*this, std::move(query));
  }
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> connect(std::string,
                                                                      std::uint16_t port) override {
    calls.push_back("connect " + std::to_string(port));
    if (error) co_return std::unexpected(*error);
    co_return std::make_unique<EchoStream>(executor_);
  }
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> copy_out(ContainerId,
                                                                       std::string path) override {
    if (!files.contains(path)) co_return base::fail(base::Errc::NotFound, path + " does not exist");
    auto stream = std::make_unique<EchoStream>(executor_);
    (void)co_await stream->write(base::as_bytes(files[path]));
    stream->close_write();
    co_return stream;
  }
  base::Task<base::Result<std::unique_ptr<base::ByteStream>>> copy_in(ContainerId,
                                                                      std::string path) override {
    if (error) co_return std::unexpected(*error);
    co_return std::make_unique<Taker>(*this, path);
  }
  base::Task<base::Result<std::vector<ContainerStats>>> stats(std::string pod_uid) override {
    ticks_ += 1'000'000;
    co_return std::vector<ContainerStats>{{{pod_uid, "web"}, ticks_, 4096, 2, 10, 20}};
  }
  void listen(std::function<void(DriverEvent)>) override {}

 private:
  class Reader final : public LogReader {
   public:
    Reader(ScriptedDriver& driver, LogQuery query) : driver_(driver), query_(std::move(query)) {
      if (query_.tail_lines && driver.log.size() > *query_.tail_lines)
        next_ = driver.log.size() - *query_.tail_lines;
    }
    base::Task<base::Result<std::optional<LogRecord>>> next() override {
      while (next_ >= driver_.log.size() && query_.follow) co_await driver_.log_grew_.wait();
      if (next_ >= driver_.log.size()) co_return std::nullopt;
      co_return driver_.log[next_++];
    }

   private:
    ScriptedDriver& driver_;
    LogQuery query_;
    std::size_t next_ = 0;
  };
  class Taker final : public base::ByteStream {
   public:
    Taker(ScriptedDriver& driver, std::string path) : driver_(driver), path_(std::move(path)) {}
    base::Task<base::Result<base::Bytes>> read() override {
      if (got_ == "bad") co_return base::fail(base::Errc::InvalidArgument, "not a tar archive");
      driver_.files[path_] = got_;
      co_return base::Bytes{};
    }
    base::Task<base::Result<>> write(base::BytesView bytes) override {
      got_ += base::as_text(bytes);
      co_return base::Result<>{};
    }
    void close_write() override {}
    void close() override {}

   private:
    ScriptedDriver& driver_;
    std::string path_, got_;
  };
  template <class T>
  base::Task<base::Result<T>> unused() {
    co_return base::fail(base::Errc::Unsupported, "the API does not do this");
  }

  base::Executor executor_;
  base::Event log_grew_;
  std::uint64_t ticks_ = 0;
};

}  // namespace nexus::api
