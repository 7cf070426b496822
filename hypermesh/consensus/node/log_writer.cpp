#include "consensus/node/log_writer.hpp"

namespace hypermesh::consensus {

LogWriter::LogWriter(const base::Executor& executor, base::BlockingPool& pool, Log& log,
                     const base::Clock& clock, OnDurable on_durable)
    : pool_(pool),
      log_(log),
      clock_(clock),
      on_durable_(std::move(on_durable)),
      scope_(executor),
      wanted_(executor) {
  scope_.spawn(run());
}

base::Result<Lsn> LogWriter::append(std::uint8_t type, base::BytesView payload, bool lazy) {
  TRY(const Lsn lsn, log_.append(type, payload));
  if (!lazy) {
    due_ = true;
    wanted_.notify();
  }
  return lsn;
}

void LogWriter::drop_before(Lsn lsn) {
  drop_ = std::max(drop_, lsn);
  wanted_.notify();
}

// What waits at the end is written too.
base::Task<> LogWriter::stop() {
  stopping_ = true;
  wanted_.notify();
  co_await scope_.join();
}

base::Task<> LogWriter::run() {
  for (;;) {
    if (!due_ && drop_ == 0 && !stopping_) {
      co_await wanted_.wait();
      continue;
    }
    due_ = false;
    auto batch = log_.take();
    const Lsn drop = std::exchange(drop_, 0);
    if (batch.empty() && drop == 0) {
      if (stopping_) co_return;
      continue;
    }
    const bool any = !batch.empty();
    const auto began = clock_.now();
    auto written =
        co_await pool_.run([this, drop, batch = std::move(batch)]() mutable -> base::Result<Lsn> {
          Lsn durable = log_.durable();
          if (!batch.empty()) {
            TRY(durable, log_.write(std::move(batch)));
          }
          if (drop > 0) TRY_DO(log_.drop_before(drop));
          return durable;
        });
    const bool failed = !written;
    if (any || failed) on_durable_(std::move(written), clock_.now() - began);
    if (failed) co_return;
  }
}

}  // namespace hypermesh::consensus
