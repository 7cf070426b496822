#include "consensus/node/log_writer.hpp"

namespace hypermesh::consensus {

LogWriter::LogWriter(const base::Executor& executor, base::BlockingPool& pool, Log& log,
                     const base::Clock& clock, OnDurable on_durable)
    : executor_(executor),
      pool_(pool),
      log_(log),
      clock_(clock),
      on_durable_(std::move(on_durable)),
      idle_(executor) {}

base::Result<Lsn> LogWriter::append(std::uint8_t type, base::BytesView payload, bool lazy) {
  TRY(appended_, log_.append(type, payload));
  due_ = due_ || !lazy;
  return appended_;
}

void LogWriter::drop_before(Lsn lsn) {
  drop_ = std::max(drop_, lsn);
  begin();
}

void LogWriter::begin() {
  if (writing_ || failed_ || (!due_ && drop_ == 0)) return;
  due_ = false;
  auto batch = log_.take();
  taken_ = appended_;
  const Lsn drop = std::exchange(drop_, 0);
  const bool any = !batch.empty();
  if (!any && drop == 0) return;
  writing_ = true;
  pool_.run(
      executor_,
      [this, drop, batch = std::move(batch)]() mutable -> base::Result<Lsn> {
        Lsn durable = log_.durable();
        if (!batch.empty()) {
          TRY(durable, log_.write(std::move(batch)));
        }
        if (drop > 0) TRY_DO(log_.drop_before(drop));
        return durable;
      },
      [this, any, began = clock_.now()](base::Result<Lsn> written) {
        end(std::move(written), any, began);
      });
}

void LogWriter::end(base::Result<Lsn> written, bool any, base::MonotonicTime began) {
  writing_ = false;
  failed_ = !written;
  if (any || failed_) on_durable_(std::move(written), clock_.now() - began);
  begin();
  idle_.notify();
}

// What waits at the end is written too.
base::Task<> LogWriter::stop() {
  due_ = true;
  begin();
  while (writing_) co_await idle_.wait();
}

}  // namespace hypermesh::consensus
