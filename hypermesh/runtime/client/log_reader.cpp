#include "runtime/client/log_reader.hpp"

#include <fmt/format.h>
#include <sys/inotify.h>

#include <base/async/blocking_pool.hpp>
#include <deque>

#include "runtime/client/fd_stream.hpp"
#include "runtime/client/log_scan.hpp"

namespace hypermesh {
namespace {

using base::Errc;

constexpr std::uint32_t kWatched = IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF;
constexpr std::size_t kEventBytes = 16u << 10;

class FileLogReader final : public nexus::LogReader {
 public:
  FileLogReader(const base::Executor& executor, base::BlockingPool& pool,
                std::shared_ptr<LogScan> scan, UniqueFd watch)
      : pool_(pool), scan_(std::move(scan)) {
    if (watch) watch_ = std::make_unique<AsyncFd>(executor, std::move(watch));
  }

  base::Task<base::Result<std::optional<nexus::LogRecord>>> next() override {
    while (ready_.empty()) {
      const auto scan = scan_;
      CO_TRY(auto batch, co_await pool_.run([scan] { return scan->next_batch(); }));
      ready_.insert(ready_.end(), std::make_move_iterator(batch.begin()),
                    std::make_move_iterator(batch.end()));
      if (!ready_.empty()) break;
      if (!watch_) co_return std::nullopt;
      const bool gone = co_await pool_.run([scan] { return scan->gone(); });
      if (gone) co_return std::nullopt;
      // Changes since the scan began are in the queue already, so none is slept through.
      CO_TRY_DO(co_await watch_->read(kEventBytes));
    }
    nexus::LogRecord record = std::move(ready_.front());
    ready_.pop_front();
    co_return record;
  }

 private:
  base::BlockingPool& pool_;
  // Shared with a call of the pool that outlives a reader which is cancelled.
  std::shared_ptr<LogScan> scan_;
  std::unique_ptr<AsyncFd> watch_;
  std::deque<nexus::LogRecord> ready_;
};

}  // namespace

base::Task<base::Result<std::unique_ptr<nexus::LogReader>>> open_log_reader(
    base::BlockingPool& pool, std::string log_folder, nexus::LogQuery query) {
  UniqueFd watch;
  if (query.follow && !query.previous) {
    // Before the first look, so that nothing falls between the two.
    watch.reset(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!watch) co_return base::fail_errno(errno, "cannot watch a log");
    if (::inotify_add_watch(watch.get(), log_folder.c_str(), kWatched) < 0) {
      co_return base::fail_errno(errno,
                                 fmt::format("the log of container {}", query.container.name));
    }
  }
  LogScanOptions options{log_folder, query.previous, query.since, query.tail_lines};
  CO_TRY(std::shared_ptr<LogScan> scan,
         co_await pool.run([options]() -> base::Result<std::shared_ptr<LogScan>> {
           TRY(LogScan opened, LogScan::open(options));
           return std::make_shared<LogScan>(std::move(opened));
         }));
  co_return std::make_unique<FileLogReader>(co_await base::asio::this_coro::executor, pool,
                                            std::move(scan), std::move(watch));
}

}  // namespace hypermesh
