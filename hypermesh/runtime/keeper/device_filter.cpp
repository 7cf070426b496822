// The device filter of cgroup version 2: a program of the kernel that is asked for every open(2)
// and mknod(2) of a device node (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE).

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/keeper/cgroups_v2.hpp"

namespace hypermesh::keeper {
namespace {

// Registers: 1 the context as given, 2 type, 3 access, 4 major, 5 minor, 6 scratch, 0 the answer.
constexpr std::uint8_t kContext = 1, kType = 2, kAccess = 3, kMajor = 4, kMinor = 5, kScratch = 6;

bpf_insn instruction(std::uint8_t code, std::uint8_t target, std::uint8_t source,
                     std::int16_t offset, std::int32_t value) {
  bpf_insn insn{};
  insn.code = code;
  insn.dst_reg = target & 0xf;
  insn.src_reg = source & 0xf;
  insn.off = offset;
  insn.imm = value;
  return insn;
}

class Assembler {
 public:
  void load(std::uint8_t target, std::int16_t offset) {
    add(BPF_LDX | BPF_MEM | BPF_W, target, kContext, offset, 0);
  }
  void copy(std::uint8_t target, std::uint8_t source) {
    add(BPF_ALU | BPF_MOV | BPF_X, target, source, 0, 0);
  }
  void set(std::uint8_t target, std::int32_t value) {
    add(BPF_ALU | BPF_MOV | BPF_K, target, 0, 0, value);
  }
  void mask(std::uint8_t target, std::int32_t value) {
    add(BPF_ALU | BPF_AND | BPF_K, target, 0, 0, value);
  }
  void shift_right(std::uint8_t target, std::int32_t bits) {
    add(BPF_ALU | BPF_RSH | BPF_K, target, 0, 0, bits);
  }
  /// Goes to the end of the rule, which is not known yet, unless equal.
  void unless_equal(std::uint8_t reg, std::int32_t value) {
    open_.push_back(code_.size());
    add(BPF_JMP32 | BPF_JNE | BPF_K, reg, 0, 0, value);
  }
  void end_of_rule() {
    for (std::size_t at : open_) code_[at].off = static_cast<std::int16_t>(code_.size() - at - 1);
    open_.clear();
  }
  void answer(bool allowed) {
    set(0, allowed ? 1 : 0);
    add(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
  }
  const std::vector<bpf_insn>& code() const { return code_; }

 private:
  void add(int code, std::uint8_t target, std::uint8_t source, std::int16_t offset,
           std::int32_t value) {
    code_.push_back(instruction(static_cast<std::uint8_t>(code), target, source, offset, value));
  }
  std::vector<bpf_insn> code_;
  std::vector<std::size_t> open_;
};

std::int32_t access_bits(std::string_view access) {
  std::int32_t bits = 0;
  for (char c : access)
    bits |= c == 'r' ? BPF_DEVCG_ACC_READ : c == 'w' ? BPF_DEVCG_ACC_WRITE : BPF_DEVCG_ACC_MKNOD;
  return bits;
}

long bpf(bpf_cmd command, bpf_attr& attributes) {
  return ::syscall(SYS_bpf, command, &attributes, sizeof attributes);
}

}  // namespace

base::Result<> attach_device_filter(int cgroup_fd, const std::vector<DeviceRule>& rules) {
  constexpr std::int32_t kAllAccess =
      BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;
  Assembler code;
  code.load(kType, 0);
  code.copy(kAccess, kType);
  code.mask(kType, 0xffff);
  code.shift_right(kAccess, 16);
  code.load(kMajor, 4);
  code.load(kMinor, 8);
  for (const DeviceRule& rule : rules) {
    code.unless_equal(kType, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
    if (rule.major >= 0) code.unless_equal(kMajor, rule.major);
    if (rule.minor >= 0) code.unless_equal(kMinor, rule.minor);
    if (const std::int32_t forbidden = kAllAccess & ~access_bits(rule.access)) {
      code.copy(kScratch, kAccess);
      code.mask(kScratch, forbidden);
      code.unless_equal(kScratch, 0);
    }
    code.answer(true);
    code.end_of_rule();
  }
  code.answer(false);

  static constexpr char kLicense[] = "Apache-2.0";
  bpf_attr load{};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<std::uint64_t>(code.code().data());
  load.insn_cnt = static_cast<std::uint32_t>(code.code().size());
  load.license = reinterpret_cast<std::uint64_t>(kLicense);
  const UniqueFd program(static_cast<int>(bpf(BPF_PROG_LOAD, load)));
  if (!program) return base::fail_errno(errno, "cannot load the filter of devices");
  bpf_attr attach{};
  attach.target_fd = static_cast<std::uint32_t>(cgroup_fd);
  attach.attach_bpf_fd = static_cast<std::uint32_t>(program.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (bpf(BPF_PROG_ATTACH, attach) != 0)
    return base::fail_errno(errno, "cannot attach the filter of devices");
  return {};
}

}  // namespace hypermesh::keeper
