#include "consensus/node/block_applier.hpp"

namespace hypermesh::consensus {

namespace {

constexpr std::size_t kSmall = 16;  // Operations that cost less than handing them to a worker.
// A block that took longer waited for the disk: those of the next while go to a worker.
constexpr base::Duration kQuick = std::chrono::milliseconds(2), kAside = std::chrono::seconds(1);

}  // namespace

BlockApplier::BlockApplier(const base::Executor& executor, base::BlockingPool& pool,
                           Executor& blocks, const base::Clock& clock, OnBatch on_batch)
    : pool_(pool),
      blocks_(blocks),
      clock_(clock),
      on_batch_(std::move(on_batch)),
      scope_(executor),
      wanted_(executor),
      idle_(executor) {
  scope_.spawn(run());
}

void BlockApplier::apply(LinkPtr link, Slot certified) {
  const bool first = waiting_.empty() && !busy_ && !paused_ && !flush_due_;
  const bool here = first && link->block.operations() <= kSmall && !blocks_.hashes_many(*link) &&
                    clock_.now() >= aside_until_;
  waiting_.push_back({std::move(link), certified});
  if (here) return apply_here();
  wanted_.notify();
}

void BlockApplier::apply_here() {
  const auto began = clock_.now();
  const Batch batch = execute(std::exchange(waiting_, {}));
  const auto now = clock_.now();
  if (now - began > kQuick) aside_until_ = now + kAside;
  if (flush_due_) wanted_.notify();
  tell(batch);
}

// Nothing follows what was not executed.
void BlockApplier::tell(const Batch& batch) {
  paused_ = paused_ || !batch.ended;
  on_batch_(batch);
}

base::Task<> BlockApplier::pause() {
  paused_ = true;
  while (busy_) co_await idle_.wait();
}

void BlockApplier::go_on(bool replaced) {
  paused_ = false;
  if (replaced) {
    waiting_.clear();
    flush_due_ = true;
  }
  wanted_.notify();
}

base::Task<> BlockApplier::stop() {
  stopping_ = true;
  wanted_.notify();
  co_await scope_.join();
}

base::Task<> BlockApplier::run() {
  while (!stopping_) {
    if (paused_ || (waiting_.empty() && !flush_due_)) {
      co_await wanted_.wait();
      continue;
    }
    busy_ = true;
    const Batch batch = co_await pool_.run([this, blocks = std::exchange(waiting_, {})]() mutable {
      return execute(std::move(blocks));
    });
    // What is wanted meanwhile comes behind all of it.
    tell(batch);
    busy_ = false;
    idle_.notify();
  }
}

BlockApplier::Batch BlockApplier::execute(std::vector<Waiting> blocks) {
  Batch batch;
  if (std::exchange(flush_due_, false)) {
    batch.ended = blocks_.machine().flush();
    if (!batch.ended) return batch;
    batch.on_disk = blocks_.applied();
  }
  for (auto& [link, certified] : blocks) {
    blocks_.machine().keep_from(certified);
    auto executed = blocks_.apply(*link);
    if (!executed) {
      batch.ended = std::unexpected(std::move(executed).error());
      return batch;
    }
    flush_due_ = flush_due_ || executed->root.has_value();
    batch.executed.emplace_back(std::move(link), *std::move(executed));
  }
  return batch;
}

}  // namespace hypermesh::consensus
