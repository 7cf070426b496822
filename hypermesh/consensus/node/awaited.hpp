#pragma once

#include <base/async/event.hpp>
#include <memory>
#include <optional>

namespace hypermesh::consensus {

/// Waits for the one call of a callback: `begin` is given what is to be called with the answer, on
/// `executor`.
template <class Answer, class Begin>
base::Task<Answer> awaited(base::Executor executor, Begin begin) {
  // Shared: whoever waits may be cancelled.
  struct Waiting {
    explicit Waiting(const base::Executor& executor) : done(executor) {}
    base::Event done;
    std::optional<Answer> answer;
  };
  const auto waiting = std::make_shared<Waiting>(executor);
  begin([waiting](Answer answer) {
    waiting->answer = std::move(answer);
    waiting->done.notify();
  });
  while (!waiting->answer) co_await waiting->done.wait();
  co_return *std::move(waiting->answer);
}

}  // namespace hypermesh::consensus
