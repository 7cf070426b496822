#include "consensus/node/mesh.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kSmallBytesMax = 32 * 1024;  // Travels with the votes.
constexpr std::size_t kQueueBytesMax = 32 << 20;   // For a peer that is slower than we are.
constexpr std::size_t kWriteBytes = 256 * 1024;    // Gathered for one frame.
constexpr base::Duration kRetry = 20ms;            // After a stream has ended.

}  // namespace

// One stream to a peer, opened again whenever it ends.
struct Mesh::Link {
  explicit Link(const base::Executor& executor) : ready(executor) {}

  base::Event ready;
  std::deque<std::shared_ptr<const base::Bytes>> queue;
  std::size_t bytes = 0;
  bool bulk = false, open = false, ended = false;

  void push(std::shared_ptr<const base::Bytes> message) {
    bytes += message->size();
    queue.push_back(std::move(message));
    // The newest say more than the oldest.
    while (bytes > kQueueBytesMax && queue.size() > 1) pop();
    ready.notify();
  }
  std::shared_ptr<const base::Bytes> pop() {
    auto first = std::move(queue.front());
    queue.pop_front();
    bytes -= first->size();
    return first;
  }
  Frame gather() {
    base::ByteWriter out;
    while (!queue.empty() &&
           (out.view().empty() || out.view().size() + queue.front()->size() <= kWriteBytes))
      out.sized(*pop());
    return {std::move(out).take()};
  }
  void clear() {
    queue.clear();
    bytes = 0;
  }
};

struct Mesh::Peer {
  stoq::NodeId id;
  stoq::Endpoint endpoint;
  std::shared_ptr<Link> votes, blocks;
};

Mesh::Mesh(const base::Executor& executor, stoq::rpc::Peers& peers, stoq::rpc::Server& server,
           OnMessage on_message, base::Log log)
    : peers_(peers), on_message_(std::move(on_message)), log_(std::move(log)), scope_(executor) {
  for (const auto* method : {&kVotes, &kBlocks}) {
    server.handle(*method, [this](stoq::rpc::Call& call, stoq::rpc::Reader<Frame>& frames) {
      return receive(call, frames);
    });
  }
}

Mesh::~Mesh() = default;

void Mesh::set_members(const std::map<stoq::NodeId, stoq::Endpoint>& members) {
  std::erase_if(members_, [&](const auto& each) {
    const auto found = members.find(each.first);
    if (found != members.end() && found->second == each.second->endpoint) return false;
    for (const auto& link : {each.second->votes, each.second->blocks}) {
      link->ended = true;
      link->ready.notify();
    }
    return true;
  });
  for (const auto& [id, endpoint] : members) {
    if (members_.contains(id)) continue;
    auto peer = std::make_shared<Peer>(Peer{id, endpoint, {}, {}});
    peer->votes = std::make_shared<Link>(scope_.executor());
    peer->blocks = std::make_shared<Link>(scope_.executor());
    peer->blocks->bulk = true;
    for (const auto& link : {peer->votes, peer->blocks}) scope_.spawn(run(peer, link));
    members_.emplace(id, std::move(peer));
  }
}

void Mesh::send(const stoq::NodeId& to, std::shared_ptr<const base::Bytes> message) {
  const auto found = members_.find(to);
  if (found == members_.end()) return;
  const auto& peer = *found->second;
  (message->size() <= kSmallBytesMax ? peer.votes : peer.blocks)->push(std::move(message));
}

std::size_t Mesh::connected() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(members_, [](const auto& each) { return each.second->votes->open; }));
}

bool Mesh::connected_to(const stoq::NodeId& peer) const {
  const auto found = members_.find(peer);
  return found != members_.end() && found->second->votes->open;
}

Task<> Mesh::stop() {
  scope_.cancel();
  co_await scope_.join();
}

Task<> Mesh::run(std::shared_ptr<Peer> peer, std::shared_ptr<Link> link) {
  const auto caller = peers_.to(peer->id, peer->endpoint);
  while (!link->ended) {
    // Also while there is nothing to send: a peer that lost us has to learn which of its
    // connections to us are of the past.
    auto stream = co_await caller->open(link->bulk ? kBlocks : kVotes);
    if (stream) {
      link->open = true;
      while (!link->ended) {
        while (link->queue.empty() && !link->ended) co_await link->ready.wait();
        if (link->ended || !co_await stream->write(link->gather())) break;
      }
      link->open = false;
    }
    if (link->ended) break;
    // What waited is old by the time that there is a stream again.
    link->clear();
    co_await base::sleep_for(kRetry);
  }
}

Task<Result<Frame>> Mesh::receive(stoq::rpc::Call& call, stoq::rpc::Reader<Frame>& frames) {
  const auto& from = call.peer();
  for (;;) {
    if (!from || !members_.contains(*from)) {
      co_return base::fail(Errc::Forbidden,
                           "the caller is no node of this cluster; an operator can add it");
    }
    CO_TRY(const auto frame, co_await frames.read());
    if (!frame) co_return Frame{};
    base::ByteReader in(frame->bytes);
    while (in.remaining() > 0) {
      auto message = in.sized(kMessageBytesMax);
      if (!message) {
        ++malformed_;
        co_return std::unexpected(base::wrap(std::move(message).error(), "a frame of messages"));
      }
      on_message_(*from, *message);
    }
  }
}

}  // namespace hypermesh::consensus
