#include "runtime/keeper/cleanup.hpp"

#include <unistd.h>

#include <sstream>

namespace hypermesh::keeper {
namespace {

constexpr std::size_t kMountsBytesMax = 64u << 20;
constexpr int kRoundsMax = 500;
constexpr useconds_t kRoundMicroseconds = 10'000;

void unmount_below(const std::string& folder) {
  std::istringstream mounts(read_file("/proc/self/mountinfo", kMountsBytesMax).value_or(""));
  std::vector<std::string> targets;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, target;
    fields >> id >> parent >> device >> root >> target;
    if (target.starts_with(folder + "/")) targets.push_back(std::move(target));
  }
  // The last one mounted goes first. Names of ours hold nothing that the file would write
  // otherwise.
  for (auto target = targets.rbegin(); target != targets.rend(); ++target) unmount(*target);
}

}  // namespace

base::Result<> clean_up_node(Cgroups& cgroups, const std::string& cgroup,
                             const std::string& state_folder, const std::string& run_folder) {
  base::Result<> removed;
  for (int round = 0; round < kRoundsMax; ++round) {
    cgroups.kill(cgroup);
    removed = cgroups.remove(cgroup);
    if (removed) break;
    ::usleep(kRoundMicroseconds);
  }
  unmount_below(state_folder);
  unmount_below(run_folder);
  TRY_DO(remove_tree(run_folder));
  return removed;
}

}  // namespace hypermesh::keeper
