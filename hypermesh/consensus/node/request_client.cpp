#include "consensus/node/request_client.hpp"

#include "consensus/node/awaited.hpp"
#include "consensus/node/both_ways.hpp"

namespace hypermesh::consensus {

using base::Errc;
using base::Result;
using base::Task;

namespace {

constexpr std::size_t kFrameRequestBytes = 256 * 1024;  // Gathered for one frame.
constexpr base::Duration kRetry = std::chrono::milliseconds(50);

}  // namespace

RequestClient::RequestClient(const base::Executor& executor,
                             std::unique_ptr<stoq::rpc::Caller> caller)
    : caller_(std::move(caller)), scope_(executor), ready_(executor) {
  scope_.spawn(run());
}

RequestClient::~RequestClient() = default;

std::uint64_t RequestClient::ask(What what, base::Duration limit, Done done) {
  const auto id = next_id_++;
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(limit).count();
  base::ByteWriter out;
  write(out, Request{id, static_cast<std::uint32_t>(ms), std::move(what)});
  waiting_.push_back(std::move(out).take());
  open_.emplace(id, std::move(done));
  ready_.notify();
  return id;
}

Task<RequestClient::Answer> RequestClient::ask(What what, base::Duration limit) {
  return awaited<Answer>(scope_.executor(),
                         [this, what = std::move(what), limit](auto done) mutable {
                           ask(std::move(what), limit, std::move(done));
                         });
}

Task<> RequestClient::stop() {
  scope_.cancel();
  co_await scope_.join();
}

Task<> RequestClient::run() {
  for (;;) {
    while (waiting_.empty()) co_await ready_.wait();
    auto stream = co_await caller_->open(kRequests);
    const Result<> ended = stream
                               ? co_await both_ways(read_replies(*stream), write_requests(*stream))
                               : Result<>(std::unexpected(stream.error()));
    const auto why = base::make_error(
        Errc::Unavailable,
        "the stream to the node ended" + (ended ? std::string() : ": " + ended.error().describe()));
    waiting_.clear();
    for (const auto& [id, done] : std::exchange(open_, {})) done(std::unexpected(why));
    co_await base::sleep_for(kRetry);
  }
}

Task<Result<>> RequestClient::write_requests(Stream& stream) {
  for (;;) {
    while (waiting_.empty()) co_await ready_.wait();
    base::ByteWriter out;
    while (!waiting_.empty() && out.view().size() < kFrameRequestBytes) {
      out.sized(waiting_.front());
      waiting_.pop_front();
    }
    CO_TRY_DO(co_await stream.write(Frame{std::move(out).take()}));
  }
}

Task<Result<>> RequestClient::read_replies(Stream& stream) {
  for (;;) {
    CO_TRY(const auto frame, co_await stream.read());
    if (!frame) co_return Result<>();
    base::ByteReader in(frame->bytes);
    while (in.remaining() > 0) {
      CO_TRY(const auto bytes, in.sized(kReplyBytesMax));
      CO_TRY(auto reply, decode_reply(bytes));
      const auto found = open_.find(reply.id);
      if (found == open_.end()) continue;
      const auto done = std::move(found->second);
      open_.erase(found);
      done(std::move(reply.what));
    }
  }
}

}  // namespace hypermesh::consensus
