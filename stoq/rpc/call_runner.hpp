#pragma once

#include "rpc/method_table.hpp"
#include "rpc/request_reader.hpp"

namespace stoq::rpc {

/// One call at its server, over any stream of bytes: reads it, and runs its handler. Whoever owns
/// it watches the time and writes the end of the answer.
class CallRunner final : public ServedCall {
 public:
  struct Where {
    base::ByteStream& stream;
    RequestReader& requests;
    const MethodTable& methods;
    const base::Clock& clock;
    base::Executor executor;
    std::optional<NodeId> peer;
    Lane lane = Lane::Control;
    std::uint64_t span = 0;       ///< Of this call.
    CallBytes* budget = nullptr;  ///< Null: nobody counts.
  };
  explicit CallRunner(Where where) : where_(std::move(where)) {}

  /// Reads the head and, where there is one, the only request. False: the stream ended without a
  /// call. Errors: what the caller is to be told.
  base::Task<base::Result<bool>> read();
  /// Runs the handler. Gives the frames to end with.
  base::Task<base::Result<base::Bytes>> run();

  /// Null before read().
  const MethodTable::Entry* entry() const { return entry_; }
  /// Nothing after this may wait for the handler's deadline any longer.
  void limit(base::MonotonicTime deadline) {
    context_.deadline = std::min(context_.deadline, deadline);
  }
  /// Since when a message waits for the caller to take it; max(): none does.
  base::MonotonicTime writing_since() const { return writing_since_; }

  const std::optional<NodeId>& peer() const override { return where_.peer; }
  const Context& context() const override { return context_; }
  const Method& method() const override { return entry_->method; }
  base::Executor executor() const override { return where_.executor; }
  base::Task<base::Result<std::optional<base::BytesView>>> receive() override;
  base::Task<base::Result<>> send(base::Bytes frames) override;

 private:
  Where where_;
  const MethodTable::Entry* entry_ = nullptr;
  Context context_;
  base::BytesView request_;
  base::MonotonicTime writing_since_ = base::MonotonicTime::max();
};

/// Appends the end of an answer: the status, after the messages that are there if it is success.
base::Bytes ending(base::Result<base::Bytes> frames);

}  // namespace stoq::rpc
