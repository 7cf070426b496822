#include "consensus/node/request_service.hpp"

#include <fmt/format.h>

#include "consensus/node/both_ways.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kFrameReplyBytes = 256 * 1024;  // Gathered for one frame.
constexpr std::size_t kUnreadBytesMax = 64 << 20;     // Replies that a client does not take.
constexpr std::size_t kOpenMax = 10'000;              // Requests of one stream under way.
constexpr std::size_t kOpenBytesMax = 8 << 20;        // Likewise; one request may be more.
constexpr base::Duration kLook = std::chrono::milliseconds(200);

}  // namespace

// What a stream's answers go through; they may come when it is gone.
struct RequestService::Session {
  explicit Session(const base::Executor& executor) : ready(executor), room(executor) {}

  void reply(std::uint64_t id, decltype(Reply::what) what) {
    const bool was_full = full();
    if (const auto asked = open.find(id); asked != open.end()) {
      open_bytes -= asked->second;
      open.erase(asked);
    }
    if (was_full && !full()) room.notify();
    if (ended) return;
    base::ByteWriter out;
    write(out, Reply{id, std::move(what)});
    bytes += out.view().size();
    if (bytes > kUnreadBytesMax) ended = true;
    replies.push_back(std::move(out).take());
    ready.notify();
  }

  // One client's requests wait for each other, not for others'.
  bool full() const { return open.size() >= kOpenMax || open_bytes >= kOpenBytesMax; }

  base::Event ready;  ///< There is something to write.
  base::Event room;   ///< Another request may be read.
  std::deque<base::Bytes> replies;
  std::size_t bytes = 0, open_bytes = 0;
  std::multimap<std::uint64_t, std::size_t> open;  // Bytes of requests by their ids.
  bool ended = false;
};

RequestService::RequestService(ReplicaNode& node, stoq::rpc::Server& server) : node_(node) {
  server.handle(kRequests, [this](stoq::rpc::Call& call, stoq::rpc::Reader<Frame>& requests,
                                  stoq::rpc::Writer<Frame>& replies) {
    return serve(call, requests, replies);
  });
}

Task<Result<>> RequestService::serve(stoq::rpc::Call& call, stoq::rpc::Reader<Frame>& requests,
                                     stoq::rpc::Writer<Frame>& replies) {
  if (!call.peer() || !node_.is_member(*call.peer())) {
    co_return base::fail(Errc::Forbidden,
                         "the caller is no member of this cluster; an operator can add it");
  }
  const auto session = std::make_shared<Session>(co_await boost::asio::this_coro::executor);
  auto ended =
      co_await both_ways(read_requests(session, requests), write_replies(session, replies));
  session->ended = true;
  co_return ended;
}

Task<Result<>> RequestService::write_replies(SessionPtr session,
                                             stoq::rpc::Writer<Frame>& replies) {
  for (;;) {
    while (session->replies.empty() && !session->ended) co_await session->ready.wait();
    if (session->ended) {
      co_return base::fail(Errc::ResourceExhausted,
                           "the client asks for more than it takes; the stream ends");
    }
    base::ByteWriter out;
    while (!session->replies.empty() && out.view().size() < kFrameReplyBytes) {
      out.sized(session->replies.front());
      session->bytes -= session->replies.front().size();
      session->replies.pop_front();
    }
    CO_TRY_DO(co_await replies.write(Frame{std::move(out).take()}));
  }
}

Task<Result<>> RequestService::read_requests(SessionPtr session,
                                             stoq::rpc::Reader<Frame>& requests) {
  for (;;) {
    CO_TRY(const auto frame, co_await requests.read());
    if (!frame) co_return Result<>();
    base::ByteReader in(frame->bytes);
    while (in.remaining() > 0) {
      CO_TRY(const auto bytes, in.sized(kRequestBytesMax));
      CO_TRY(auto request, decode_request(bytes));
      while (session->full()) co_await session->room.wait();
      session->open.emplace(request.id, bytes.size());
      session->open_bytes += bytes.size();
      answer(session, std::move(request));
    }
  }
}

void RequestService::answer(const SessionPtr& session, Request request) {
  const auto id = request.id;
  const base::Duration limit = std::chrono::milliseconds(request.limit_ms);
  const auto deadline = node_.clock().now() + limit;
  if (auto* order = std::get_if<OrderRequest>(&request.what)) {
    node_.order(std::move(order->command), limit, [session, id](Result<std::uint64_t> number) {
      if (!number) return session->reply(id, std::unexpected(std::move(number).error()));
      session->reply(id, OrderReply{*number});
    });
  } else if (auto* bundle = std::get_if<BundleRequest>(&request.what)) {
    node_.relay(std::move(bundle->bundle), limit, [session, id](Result<BundleResult> result) {
      if (!result) return session->reply(id, std::unexpected(std::move(result).error()));
      session->reply(id, BundleReply{std::move(result->outcomes), result->refused});
    });
  } else if (auto* get = std::get_if<GetRequest>(&request.what)) {
    if (get->at == 0) {
      return read(session, id, limit, get->local,
                  [key = std::move(get->key)](const state::View& view) -> Result<GetReply> {
                    TRY(auto entry, view.get(key));
                    return GetReply{std::move(entry), view.revision(), 0};
                  });
    }
    node_.spawn(get_at(session, id, deadline, std::move(*get)));
  } else if (auto* range = std::get_if<RangeRequest>(&request.what)) {
    read(session, id, limit, range->local,
         [query = std::move(range->query)](const state::View& view) -> Result<RangeReply> {
           TRY(auto page, view.range(query));
           return RangeReply{std::move(page), 0};
         });
  } else if (auto* changes = std::get_if<ChangesRequest>(&request.what)) {
    node_.spawn(this->changes(session, id, deadline, std::move(*changes)));
  } else if (std::holds_alternative<CopyRequest>(request.what)) {
    node_.spawn(copy(session, id));
  } else if (auto* prove = std::get_if<ProveRequest>(&request.what)) {
    node_.spawn(proven<ProveReply>(
        session, id, prove->proven,
        [key = std::move(prove->full_key)](const state::View& view, const state::Checkpoint& at,
                                           ProveReply& reply) -> Result<> {
          TRY(reply.proof, view.prove_at(at.slot, key));
          return {};
        }));
  } else if (auto* events = std::get_if<ProveChangesRequest>(&request.what)) {
    node_.spawn(proven<ProveChangesReply>(
        session, id, events->proven,
        [asked = std::move(*events)](const state::View& view, const state::Checkpoint& at,
                                     ProveChangesReply& reply) -> Result<> {
          TRY(reply.head, view.prove_at(at.slot, state::kHeadKey));
          TRY(reply.events, view.prove_events(asked.prefix, asked.after, at.revision));
          if (reply.events.size() <= kEventsProvenBytesMax) return {};
          return base::fail(Errc::ResourceExhausted,
                            fmt::format("the proof of what came after revision {} has {} bytes; {} "
                                        "may be sent: list again, and watch from there",
                                        asked.after, reply.events.size(), kEventsProvenBytesMax));
        }));
  } else {
    session->reply(id, status());
  }
}

Task<> RequestService::copy(SessionPtr session, std::uint64_t id) {
  auto copy = co_await node_.copy();
  if (!copy) co_return session->reply(id, std::unexpected(std::move(copy).error()));
  session->reply(id, CopyReply{*std::move(copy)});
}

template <class R, class Prove>
Task<> RequestService::proven(SessionPtr session, std::uint64_t id, Epoch from, Prove prove) {
  const auto& stable = node_.stable_checkpoint();
  if (!stable) {
    co_return session->reply(
        id, base::fail(Errc::Unavailable, "no checkpoint is certified yet; ask again later"));
  }
  auto reply = co_await node_.read(
      ReplicaNode::Consistency::Local, kLook,
      [at = Proven{node_.ends_from(from), *stable, {}},
       prove = std::move(prove)](const state::View& view) -> decltype(Reply::what) {
        const auto slot = at.checkpoint.certificate.statement.slot;
        const auto& kept = view.checkpoints();
        const auto found = std::ranges::find(kept, slot, &state::Checkpoint::slot);
        if (found == kept.end()) {
          return base::fail(Errc::Unavailable,
                            fmt::format("this node does not hold the state of slot {}, which is "
                                        "certified; ask another, or again later",
                                        slot));
        }
        R reply{.at = at};
        TRY(reply.at.last, view.prove_at(slot, state::full_key(state::Space::System, kLastKey)));
        TRY_DO(prove(view, *found, reply));
        return reply;
      });
  session->reply(id, std::move(reply));
}

// `find` gives a reply that has a time.
template <class Find>
void RequestService::read(const SessionPtr& session, std::uint64_t id, base::Duration limit,
                          bool local, Find find) {
  const auto consistency =
      local ? ReplicaNode::Consistency::Local : ReplicaNode::Consistency::Linearizable;
  node_.read(
      consistency, limit,
      [this, session, id, find = std::move(find)](Result<const state::View*> view) {
        auto found = view ? find(**view) : decltype(find(**view))(std::unexpected(view.error()));
        return std::function<void()>([this, session, id, found = std::move(found)]() mutable {
          if (!found) return session->reply(id, std::unexpected(std::move(found).error()));
          found->time = node_.status().time;
          session->reply(id, *std::move(found));
        });
      });
}

Task<bool> RequestService::reaches(state::Revision revision, base::MonotonicTime deadline) {
  while (node_.status().revision < revision) {
    if (node_.clock().now() >= deadline) co_return false;
    co_await node_.applied_after(node_.status().applied, kLook);
  }
  co_return true;
}

Task<> RequestService::get_at(SessionPtr session, std::uint64_t id, base::MonotonicTime deadline,
                              GetRequest request) {
  if (!co_await reaches(request.at, deadline)) {
    co_return session->reply(
        id, base::fail(Errc::TimedOut, fmt::format("this node is not at revision {} yet; it is at "
                                                   "{}",
                                                   request.at, node_.status().revision)));
  }
  auto reply = co_await node_.read(ReplicaNode::Consistency::Local, kLook,
                                   [&request](const state::View& view) -> decltype(Reply::what) {
                                     TRY(auto entry, view.get(request.key, request.at));
                                     return GetReply{std::move(entry), request.at, 0};
                                   });
  if (reply) std::get<GetReply>(*reply).time = node_.status().time;
  session->reply(id, std::move(reply));
}

Task<> RequestService::changes(SessionPtr session, std::uint64_t id, base::MonotonicTime deadline,
                               ChangesRequest request) {
  state::Revision after = request.after;
  for (;;) {
    const bool over = !co_await reaches(after + 1, deadline);
    auto page =
        co_await node_.read(ReplicaNode::Consistency::Local, kLook,
                            [&request, after](const state::View& view) -> Result<state::EventPage> {
                              return view.events(request.prefix, after);
                            });
    if (!page) co_return session->reply(id, std::unexpected(std::move(page).error()));
    if (session->ended) co_return;
    after = page->up_to;
    if (over || !page->events.empty()) co_return session->reply(id, ChangesReply{*std::move(page)});
  }
}

StatusReply RequestService::status() const {
  const ReplicaStatus status = node_.status();
  return {status.epoch,
          status.view,
          status.applied,
          status.stable,
          status.revision,
          static_cast<std::uint16_t>(status.voters),
          static_cast<std::uint16_t>(status.connected),
          status.votes,
          status.leader};
}

}  // namespace hypermesh::consensus
