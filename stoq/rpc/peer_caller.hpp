#pragma once

#include <stoq/rpc.hpp>

namespace stoq::rpc {

/// A call with one request and one reply. Without an answer it is made once more if that does no
/// harm: the method says so, or the peer has not begun it.
///
/// State: opens calls as Peers::State does.
template <class State>
class RepeatedCall final : public OpenCall {
 public:
  struct Way {
    std::shared_ptr<State> state;
    NodeId node;
    Endpoint endpoint;
    Method method;
    CallOptions options;
    base::MonotonicTime deadline;
  };
  RepeatedCall(std::unique_ptr<OpenCall> first, Way way)
      : call_(std::move(first)), way_(std::move(way)) {}

  base::Bytes begin() override { return call_->begin(); }
  base::Task<base::Result<>> send(base::Bytes frames, bool last) override {
    return call_->send(std::move(frames), last);
  }
  base::Task<base::Result<std::optional<base::BytesView>>> receive() override {
    return call_->receive();
  }
  bool answered() const override { return call_->answered(); }
  bool unbegun() const override { return call_->unbegun(); }

  base::Task<base::Result<base::BytesView>> exchange(base::BytesView frames) override {
    auto reply = co_await call_->exchange(frames);
    if (reply || call_->answered() || reply.error().code != base::Errc::Unavailable)
      co_return reply;
    if (!way_.method.options.replay_safe && !call_->unbegun()) co_return reply;
    call_.reset();
    CO_TRY(call_, co_await way_.state->open(way_.node, way_.endpoint, way_.method, way_.options,
                                            way_.deadline));
    co_return co_await call_->exchange(frames);
  }

 private:
  std::unique_ptr<OpenCall> call_;
  Way way_;
};

/// Calls to one node, over whatever connection there is.
template <class State>
class PeerCaller final : public Caller {
 public:
  PeerCaller(std::shared_ptr<State> state, NodeId node, Endpoint endpoint)
      : state_(std::move(state)), node_(node), endpoint_(endpoint) {}

  base::Task<base::Result<std::unique_ptr<OpenCall>>> open_call(
      const Method& method, const CallOptions& options) override {
    const auto deadline = state_->deadline(method, options);
    CO_TRY(auto call, co_await state_->open(node_, endpoint_, method, options, deadline));
    if (method.kind != Kind::Unary) co_return call;
    using Call = RepeatedCall<State>;
    co_return std::make_unique<Call>(
        std::move(call), typename Call::Way{state_, node_, endpoint_, method, options, deadline});
  }

 private:
  std::shared_ptr<State> state_;
  NodeId node_;
  Endpoint endpoint_;
};

}  // namespace stoq::rpc
