#pragma once

// The OCI runtime that makes containers: crun or runc, whichever really works here.

#include <string>
#include <vector>

#include "runtime/core/oci_spec.hpp"
#include "runtime/keeper/cgroups.hpp"
#include "runtime/keeper/loop.hpp"
#include "runtime/keeper/seccomp_compiler.hpp"

namespace hypermesh::keeper {

struct OciTool {
  std::string path;
  std::string version;  ///< "crun 1.8.1"
  bool leaves_cgroups =
      false;  ///< The keeper puts processes into their cgroup; runc insists on doing it.
  bool takes_program = false;  ///< Takes the compiled filter (run.oci.seccomp_bpf_data).
  std::string remark;          ///< Why a better one was not taken; for the log.
};

struct ToolChoice {
  std::vector<std::string> candidates{"crun", "runc"};  ///< Names on the PATH or paths, best first.
  std::string work_folder;  ///< For the trial container; emptied afterwards.
  std::string cgroup;       ///< The trial's group, below the node's own.
  IdRange ids;              ///< Free ids of the machine.
};
/// Runs a small container with each candidate until one works as containers here must: in a user
/// namespace that exists already, with a filter of system calls. Errors: Unsupported (why each one
/// failed).
base::Result<OciTool> choose_oci_tool(const ToolChoice& choice, Cgroups& cgroups,
                                      SeccompCompiler& seccomp);

/// One container as the tool knows it.
struct OciHandle {
  std::string id;
  std::string state_folder;  ///< The tool's --root.
  std::string work_folder;   ///< Of this container: config.json, log, pid file.
  std::string cgroup;
};
struct OciStdio {
  int in = -1, out = -1, err = -1;
  std::string console_socket;  ///< Path, where there is a terminal instead.
};

/// Calls of the tool. None throws; what the tool says is passed on in messages, never understood.
class OciCalls {
 public:
  /// `time_limit` is for one call; then the tool is killed.
  OciCalls(Loop& loop, Cgroups& cgroups, OciTool tool, base::Duration time_limit)
      : loop_(loop), cgroups_(cgroups), tool_(std::move(tool)), time_limit_(time_limit) {}
  const OciTool& tool() const { return tool_; }

  /// Begins `run` early: the process is made and moved into the container's cgroup, which is slow,
  /// while the caller prepares the rest; go() lets it run.
  class Starting {
   public:
    Starting(pid_t child, UniqueFd go) : child_(child), go_(std::move(go)) {}
    Starting(Starting&& other) noexcept
        : child_(std::exchange(other.child_, -1)), go_(std::move(other.go_)) {}
    ~Starting() = default;

   private:
    friend class OciCalls;
    pid_t child_;
    UniqueFd go_;
  };
  base::Result<Starting> begin_run(const OciHandle& handle, const OciStdio& stdio);
  /// The container's first process. Errors: FailedPrecondition (the container cannot run, with what
  /// the tool said), TimedOut. After an error call remove().
  Job<base::Result<pid_t>> go(Starting starting, const OciHandle& handle);

  /// Runs process.json of `process_file` in the container. The process, a child of ours.
  Job<base::Result<pid_t>> exec(const OciHandle& handle, std::string process_file,
                                std::string pid_file, std::string log_file, OciStdio stdio);
  /// Forgets the container. Its processes are dead already.
  Job<base::Result<>> remove(const OciHandle& handle);

 private:
  std::vector<std::string> base_arguments(const OciHandle& handle,
                                          const std::string& log_file) const;
  Job<base::Result<pid_t>> wait_for_pid(pid_t child, std::string pid_file, std::string log_file,
                                        std::string what);

  Loop& loop_;
  Cgroups& cgroups_;
  OciTool tool_;
  base::Duration time_limit_;
};

}  // namespace hypermesh::keeper
