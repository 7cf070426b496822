#include "runtime/keeper/sandboxes.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "runtime/core/pod_files.hpp"

namespace hypermesh::keeper {

namespace {

constexpr std::uint32_t kIdsOfSlot = 65'536;
/// After the last pod was made: its containers are starting, and more pods may follow.
constexpr base::Duration kRefillDelay = std::chrono::milliseconds(100);
constexpr base::Duration kRefillRetry = std::chrono::seconds(10);

/// Whether a sandbox that was made for no pod in particular serves this one.
bool is_common(const nexus::PodSpec& spec) {
  return !spec.host_users && !spec.host_network && spec.sysctls.empty();
}

base::Result<> set_hostname(int uts_namespace, const std::string& name) {
  const UniqueFd own(::open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC));
  if (!own || ::setns(uts_namespace, CLONE_NEWUTS) != 0)
    return base::fail_errno(errno, "cannot enter a pod's UTS namespace");
  const int failed = ::sethostname(name.data(), name.size()) == 0 ? 0 : errno;
  if (::setns(own.get(), CLONE_NEWUTS) != 0) {
    // Whatever ran on from here would take a pod's name for the machine's.
    std::abort();
  }
  if (failed != 0)
    return base::fail_errno(failed, fmt::format("cannot set the host name {}", name));
  return {};
}

}  // namespace

std::uint32_t first_id(std::uint32_t id_base, std::uint16_t slot) {
  return id_base + slot * kIdsOfSlot;
}

Sandboxes::Sandboxes(Loop& loop, NodeNetwork& network, SandboxOptions options, base::Log log)
    : loop_(loop), network_(network), options_(options), log_(std::move(log)) {}

Sandboxes::~Sandboxes() {
  if (refill_) loop_.cancel(*refill_);
}

base::Result<std::uint16_t> Sandboxes::allocate(const nexus::PodSpec& spec) {
  if (!spares_.empty() && is_common(spec)) return spares_.front().slot;
  auto slot = slots_.allocate();
  if (slot || spares_.empty()) return slot;
  // The last addresses are a spare's.
  Spare last = std::move(spares_.back());
  spares_.pop_back();
  TRY_DO(drop(last.sandbox));
  return last.slot;
}

void Sandboxes::release(std::uint16_t slot) {
  const bool spare = std::ranges::any_of(spares_, [&](const Spare& s) { return s.slot == slot; });
  if (!spare) slots_.release(slot);
}

base::Result<Sandbox> Sandboxes::make(std::uint16_t slot, const nexus::PodSpec& spec) {
  refill_after(kRefillDelay);
  const auto ready = std::ranges::find(spares_, slot, &Spare::slot);
  if (ready == spares_.end()) return make_new(slot, spec);
  Sandbox sandbox = std::move(ready->sandbox);
  spares_.erase(ready);
  if (auto named = set_hostname(sandbox.namespaces.uts.get(), pod_hostname(spec)); !named) {
    (void)drop(sandbox);
    return std::unexpected(std::move(named).error());
  }
  return sandbox;
}

base::Result<Sandbox> Sandboxes::make_new(std::uint16_t slot, const nexus::PodSpec& spec) {
  const std::uint32_t root = spec.host_users ? 0 : first_id(options_.id_base, slot);
  NamespaceRequest request;
  if (!spec.host_users) request.ids = IdRange{root};
  request.own_network = !spec.host_network;
  request.hostname = pod_hostname(spec);
  request.sysctls = spec.sysctls;
  Sandbox sandbox;
  TRY(sandbox.namespaces, make_pod_namespaces(request));
  TRY(sandbox.layer_ids, make_id_mapping(options_.id_base, root, kIdsOfSlot));
  if (!spec.host_users) {
    TRY(sandbox.host_ids, duplicate(sandbox.namespaces.user.get()));
  }
  if (spec.host_network) {
    sandbox.addresses = network_.node_addresses();
    return sandbox;
  }
  TRY(sandbox.addresses, network_.addresses(slot));
  std::string link = fmt::format("{}-{}", ::getpid(), next_link_++);
  TRY_DO(network_.attach(link, slot, sandbox.namespaces.network.get()));
  sandbox.link = std::move(link);
  return sandbox;
}

base::Result<> Sandboxes::drop(Sandbox& sandbox) {
  if (!sandbox.link.empty()) TRY_DO(network_.detach(sandbox.link));
  sandbox = {};
  return {};
}

void Sandboxes::open() {
  open_ = true;
  refill_after(kRefillDelay);
}

void Sandboxes::close() {
  open_ = false;
  if (refill_) loop_.cancel(*std::exchange(refill_, std::nullopt));
  for (Spare& spare : spares_) {
    if (auto dropped = drop(spare.sandbox); !dropped)
      log_.warning("a spare link is left", {{"error", dropped.error()}});
    slots_.release(spare.slot);
  }
  spares_.clear();
}

void Sandboxes::refill_after(base::Duration delay) {
  if (!open_) return;
  if (refill_) loop_.cancel(*refill_);
  refill_ = loop_.after(delay, [this] {
    refill_.reset();
    refill();
  });
}

/// One at a time: between two the loop serves whoever asks.
void Sandboxes::refill() {
  if (!open_ || spares_.size() >= options_.spares) return;
  const auto slot = slots_.allocate();
  if (!slot) return;
  auto made = make_new(*slot, {});
  if (!made) {
    log_.warning("no sandbox is kept ready", {{"error", made.error()}});
    slots_.release(*slot);
    refill_after(kRefillRetry);
    return;
  }
  spares_.push_back({*slot, *std::move(made)});
  refill_after(base::Duration::zero());
}

}  // namespace hypermesh::keeper
