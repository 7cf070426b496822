#include "runtime/keeper/seccomp_compiler.hpp"

#include <fmt/format.h>
#include <seccomp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "runtime/core/seccomp_profile.hpp"

namespace hypermesh::keeper {
namespace {

constexpr std::size_t kProgramBytesMax = 32'768;  // the kernel takes 4096 instructions of 8 bytes
constexpr std::size_t kProgramsMax = 32;

struct Release {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<void, Release>;

std::uint32_t architecture(std::string_view name) {
  std::string word(name.substr(std::string_view("SCMP_ARCH_").size()));
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return ::seccomp_arch_resolve_name(word.c_str());
}

scmp_arg_cmp comparison(const SeccompArgument& argument) {
  using Compare = SeccompArgument::Compare;
  const scmp_compare op = argument.compare == Compare::Equal      ? SCMP_CMP_EQ
                          : argument.compare == Compare::NotEqual ? SCMP_CMP_NE
                                                                  : SCMP_CMP_MASKED_EQ;
  return {argument.index, op, argument.value, argument.masked_value};
}

bool add_rules(scmp_filter_ctx filter, const SeccompProfile& profile) {
  for (std::string_view name : profile.architectures) {
    const std::uint32_t token = architecture(name);
    const int added = ::seccomp_arch_add(filter, token);
    if (token == 0 || (added != 0 && added != -EEXIST)) return false;
  }
  for (const SeccompRule& rule : profile.rules) {
    const std::uint32_t action =
        rule.errno_value ? SCMP_ACT_ERRNO(rule.errno_value) : SCMP_ACT_ALLOW;
    std::vector<scmp_arg_cmp> arguments;
    for (const auto& argument : rule.arguments) arguments.push_back(comparison(argument));
    for (std::string_view call : rule.calls) {
      const int number = ::seccomp_syscall_resolve_name(std::string(call).c_str());
      if (number == __NR_SCMP_ERROR)
        continue;  // a call that this library does not know stays forbidden
      const int added = ::seccomp_rule_add_array(
          filter, action, number, static_cast<unsigned>(arguments.size()), arguments.data());
      if (added != 0 && added != -EEXIST) return false;
    }
  }
  return true;
}

int write_program(CapabilitySet capabilities, int fd) {
  const SeccompProfile profile = default_seccomp_profile(capabilities);
  const Filter filter(::seccomp_init(SCMP_ACT_ERRNO(profile.default_errno)));
  if (!filter || !add_rules(filter.get(), profile)) return 1;
  // A binary tree instead of a list: every system call of the container walks it.
  ::seccomp_attr_set(filter.get(), SCMP_FLTATR_CTL_OPTIMIZE, 2);
  return ::seccomp_export_bpf(filter.get(), fd) == 0 ? 0 : 1;
}

}  // namespace

base::Result<std::string> SeccompCompiler::program(CapabilitySet capabilities) {
  if (const auto found = programs_.find(capabilities); found != programs_.end())
    return found->second;
  // In a copy of this process: the library's working memory goes with it.
  TRY(Pipe pipe, make_pipe());
  TRY(const pid_t child, start_copy({pipe.write.get()},
                                    [&] { return write_program(capabilities, pipe.write.get()); }));
  pipe.write.reset();
  auto bytes = read_all(pipe.read.get(), kProgramBytesMax);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!bytes)
    return std::unexpected(base::wrap(std::move(bytes).error(), "the filter of system calls"));
  if (status != 0 || bytes->empty())
    return base::fail(base::Errc::Internal, "cannot compile the filter of system calls");
  if (programs_.size() >= kProgramsMax) programs_.clear();
  return programs_[capabilities] = base::to_base64(base::as_bytes(*bytes));
}

}  // namespace hypermesh::keeper
