#include "runtime/core/seccomp_profile.hpp"

#include <cerrno>

namespace hypermesh::keeper {
namespace {

// What any program may do, by subject.
constexpr std::string_view kFiles =
    "access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 "
    "dup3 "
    "faccessat faccessat2 "
    "fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown "
    "fchown32 "
    "fchownat fcntl fcntl64 "
    "fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 "
    "futimesat getcwd getdents "
    "getdents64 inotify_add_watch inotify_init inotify_init1 inotify_rm_watch ioctl lchown "
    "lchown32 link linkat lseek "
    "_llseek lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open openat "
    "openat2 pipe pipe2 "
    "pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv "
    "rename renameat "
    "renameat2 rmdir sendfile sendfile64 splice stat stat64 statfs statfs64 statx symlink "
    "symlinkat sync sync_file_range "
    "syncfs tee truncate truncate64 umask unlink unlinkat utime utimensat utimensat_time64 utimes "
    "vmsplice write writev";
constexpr std::string_view kAttributes =
    "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr "
    "listxattrat llistxattr lremovexattr lsetxattr "
    "removexattr removexattrat setxattr setxattrat";
constexpr std::string_view kMemory =
    "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 "
    "mlockall mmap mmap2 mprotect mremap mseal msync "
    "munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease "
    "remap_file_pages";
constexpr std::string_view kProcesses =
    "capget capset execve execveat exit exit_group fork get_robust_list get_thread_area getcpu "
    "getegid "
    "getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid "
    "getppid getpriority "
    "getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid getuid32 "
    "ioprio_get "
    "ioprio_set kill pidfd_open pidfd_send_signal prctl prlimit64 process_vm_readv "
    "process_vm_writev "
    "ptrace restart_syscall rseq sched_get_priority_max sched_get_priority_min sched_getaffinity "
    "sched_getattr "
    "sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 "
    "sched_setaffinity "
    "sched_setattr sched_setparam sched_setscheduler sched_yield set_robust_list set_thread_area "
    "set_tid_address "
    "setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setpgid "
    "setpriority setregid "
    "setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid "
    "setuid setuid32 "
    "tgkill tkill ugetrlimit uname vfork wait4 waitid waitpid";
constexpr std::string_view kSignals =
    "pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend "
    "rt_sigtimedwait "
    "rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack signalfd signalfd4 sigprocmask sigreturn";
constexpr std::string_view kWaiting =
    "_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 "
    "epoll_wait epoll_wait_old "
    "eventfd eventfd2 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake io_cancel "
    "io_destroy io_getevents "
    "io_pgetevents "
    "io_pgetevents_time64 io_setup io_submit poll ppoll ppoll_time64 pselect6 pselect6_time64 "
    "select";
constexpr std::string_view kMessages =
    "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend "
    "mq_timedsend_time64 "
    "mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat "
    "shmctl shmdt shmget";
constexpr std::string_view kSockets =
    "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg "
    "recvmmsg_time64 "
    "recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair";
constexpr std::string_view kTime =
    "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime "
    "clock_gettime64 "
    "clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time "
    "timer_create timer_delete "
    "timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create "
    "timerfd_gettime "
    "timerfd_gettime64 timerfd_settime timerfd_settime64 times";
// A process may only tie its own hands further, and learn about the machine.
constexpr std::string_view kOther =
    "getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp sysinfo";

#if defined(__x86_64__)
constexpr std::string_view kMachine = "arch_prctl modify_ldt";
#else
constexpr std::string_view kMachine =
    "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2";
#endif

struct Privileged {
  unsigned capability;
  std::string_view calls;
};
constexpr Privileged kPrivileged[] = {
    {kCapDacReadSearch, "open_by_handle_at"},
    {kCapSysAdmin,
     "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie mount "
     "mount_setattr move_mount "
     "open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount "
     "umount2 unshare"},
    {kCapSysBoot, "reboot"},
    {kCapSysChroot, "chroot"},
    {kCapSysModule, "delete_module finit_module init_module"},
    {kCapSysPacct, "acct"},
    {kCapSysPtrace, "kcmp pidfd_getfd process_madvise"},
    {kCapSysRawio, "ioperm iopl"},
    {kCapSysTime, "clock_settime clock_settime64 settimeofday stime"},
    {kCapSysTtyConfig, "vhangup"},
    {kCapSysNice, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"},
    {kCapSyslog, "syslog"},
    {kCapBpf, "bpf"},
    {kCapPerfmon, "perf_event_open"},
};

constexpr std::uint64_t kNewNamespaces = 0x7e020000;  // CLONE_NEW* of clone(2) without NEWTIME
constexpr std::uint64_t kVsock = 40;  // AF_VSOCK reaches the hypervisor past every filter
// Plain Linux, a 32-bit host name, with and without address randomisation, and "what is it?".
constexpr std::uint64_t kPersonalities[] = {0x0, 0x8, 0x20000, 0x20008, 0xffffffff};

void split(std::string_view text, std::vector<std::string_view>& into) {
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find(' ', start), text.size());
    into.push_back(text.substr(start, end - start));
    start = end + 1;
  }
}

}  // namespace

SeccompProfile default_seccomp_profile(CapabilitySet capabilities) {
  using Compare = SeccompArgument::Compare;
  SeccompProfile profile;
#if defined(__x86_64__)
  profile.architectures = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86"};
#elif defined(__aarch64__)
  profile.architectures = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
#else
#error "name the architectures whose system calls this machine serves"
#endif
  SeccompRule allowed;
  for (std::string_view group : {kFiles, kAttributes, kMemory, kProcesses, kSignals, kWaiting,
                                 kMessages, kSockets, kTime, kOther, kMachine}) {
    split(group, allowed.calls);
  }
  for (const Privileged& privileged : kPrivileged) {
    if (capabilities & capability_bit(privileged.capability))
      split(privileged.calls, allowed.calls);
  }
  profile.rules.push_back(std::move(allowed));
  profile.rules.push_back({{"socket"}, {{0, Compare::NotEqual, kVsock}}, 0});
  for (std::uint64_t personality : kPersonalities) {
    profile.rules.push_back({{"personality"}, {{0, Compare::Equal, personality}}, 0});
  }
  if (!(capabilities & capability_bit(kCapSysAdmin))) {
    profile.rules.push_back({{"clone"}, {{0, Compare::MaskedEqual, kNewNamespaces, 0}}, 0});
    // Its arguments lie in memory, where a filter cannot look: libraries fall back to clone.
    profile.rules.push_back({{"clone3"}, {}, ENOSYS});
  }
  return profile;
}

}  // namespace hypermesh::keeper
