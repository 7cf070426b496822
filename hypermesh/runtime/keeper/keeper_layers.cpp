#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "runtime/core/wire.hpp"
#include "runtime/keeper/keeper_state.hpp"

namespace hypermesh::keeper {
namespace {

using base::Errc;

constexpr std::size_t kOutcomeBytesMax = 4u << 20;
/// Unpacking is bound by the processor; more at once only takes turns.
constexpr std::size_t kLayersAtOnceMax = 2;

base::Error nonsense() {
  return base::make_error(Errc::Internal, "a helper answered nothing that makes sense");
}

template <class T>
base::Result<T> as(base::Result<Reply> reply) {
  if (!reply) return std::unexpected(std::move(reply).error());
  if (auto* wanted = std::get_if<T>(&*reply)) return std::move(*wanted);
  return std::unexpected(nonsense());
}

}  // namespace

Job<base::Result<Reply>> Keeper::ask_copy(std::function<Reply()> body, std::vector<int> kept,
                                          base::Duration limit) {
  CO_TRY(Pipe pipe, make_pipe());
  kept.push_back(pipe.write.get());
  CO_TRY(const pid_t child, start_copy(std::move(kept), [&] {
           const base::Bytes bytes = encode_reply(body());
           base::BytesView left = bytes;
           while (!left.empty()) {
             const ssize_t count = ::write(pipe.write.get(), left.data(), left.size());
             if (count <= 0) return 1;
             left = left.subspan(static_cast<std::size_t>(count));
           }
           return 0;
         }));
  pipe.write.reset();
  // What it answers fits into a pipe many times over, but for lists of layers: those are read as
  // they come.
  CO_TRY_DO(set_nonblocking(pipe.read.get()));
  base::Bytes bytes;
  const base::MonotonicTime end = clock_.now() + limit;
  for (;;) {
    std::uint8_t buffer[16'384];
    const ssize_t count = ::read(pipe.read.get(), buffer, sizeof buffer);
    if (count > 0) bytes.insert(bytes.end(), buffer, buffer + count);
    if (count == 0 || bytes.size() > kOutcomeBytesMax) break;
    if (count < 0 && !co_await loop_.ready(pipe.read.get(), EPOLLIN,
                                           std::max(end - clock_.now(), base::Duration::zero()))) {
      ::kill(child, SIGKILL);
      (void)co_await loop_.exit_of(child, std::chrono::seconds(10));
      co_return base::fail(Errc::TimedOut, "a helper took too long and was ended");
    }
  }
  (void)co_await loop_.exit_of(child, std::chrono::seconds(10));
  auto reply = decode_reply(bytes);
  if (!reply) co_return std::unexpected(nonsense());
  if (auto* failed = std::get_if<Failed>(&*reply))
    co_return std::unexpected(std::move(failed->error));
  co_return reply;
}

Job<base::Result<LayerReply>> Keeper::install_layer(InstallLayer request, UniqueFd blob) {
  CO_TRY(const ContentDigest diff_id, parse_digest_hex(request.diff_id));
  std::vector<LayerId> parents;
  for (const auto& parent : request.parents) {
    CO_TRY(const ContentDigest digest, parse_digest_hex(parent));
    parents.push_back({digest});
  }
  while (layers_being_made_.contains(request.diff_id) ||
         layers_being_made_.size() >= kLayersAtOnceMax ||
         std::ranges::any_of(request.parents, [&](const auto& parent) {
           return layers_being_removed_.contains(parent);
         })) {
    co_await layers_changed_.wait();
  }
  layers_being_made_.insert(request.diff_id);
  auto reply = co_await ask_copy(
      [&]() -> Reply {
        auto record = layers_->install(blob.get(), diff_id, parents);
        if (!record) return Failed{std::move(record).error()};
        return LayerReply{encode_layer_record(*record)};
      },
      {layers_->descriptor(), blob.get()}, UnpackLimits{}.time_max + std::chrono::seconds(60));
  layers_being_made_.erase(request.diff_id);
  layers_changed_.notify();
  co_return as<LayerReply>(std::move(reply));
}

base::Result<LayersReply> Keeper::list_layers() {
  TRY(const std::vector<LayerRecord> records, layers_->list());
  LayersReply reply;
  for (const auto& record : records) reply.records.push_back(encode_layer_record(record));
  return reply;
}

Job<base::Result<BytesFreed>> Keeper::remove_layer(RemoveLayer request) {
  CO_TRY(const ContentDigest digest, parse_digest_hex(request.id));
  if (layers_in_use_.contains(request.id)) {
    co_return base::fail(Errc::FailedPrecondition,
                         fmt::format("layer {:.12} is in use by a container", request.id));
  }
  while (layers_being_removed_.contains(request.id) || !layers_being_made_.empty())
    co_await layers_changed_.wait();
  layers_being_removed_.insert(request.id);
  auto reply = co_await ask_copy(
      [&]() -> Reply {
        auto freed = layers_->remove(LayerId{digest});
        if (!freed) return Failed{std::move(freed).error()};
        return BytesFreed{*freed};
      },
      {layers_->descriptor()}, std::chrono::minutes(10));
  layers_being_removed_.erase(request.id);
  layers_changed_.notify();
  co_return as<BytesFreed>(std::move(reply));
}

}  // namespace hypermesh::keeper
