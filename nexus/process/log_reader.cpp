#include "process/log_reader.hpp"

#include <sys/inotify.h>

#include <base/async/blocking_pool.hpp>
#include <cerrno>
#include <deque>

#include "process/async_fd.hpp"
#include "process/log_scan.hpp"

namespace nexus::process {

namespace {

using base::Result;

constexpr std::uint32_t kFolderChanges = IN_CREATE | IN_MODIFY | IN_MOVED_TO | IN_DELETE_SELF;
constexpr std::size_t kEventBytes = 16u << 10;

struct Look {
  std::vector<LogRecord> records;
  Path folder;  ///< Of the attempt that is read.
  bool gone = false;
};

class FileLogReader final : public LogReader {
 public:
  FileLogReader(base::BlockingPool& pool, std::shared_ptr<LogScan> scan,
                std::unique_ptr<AsyncFd> watch)
      : pool_(pool), scan_(std::move(scan)), watch_(std::move(watch)) {}

  base::Task<Result<std::optional<LogRecord>>> next() override {
    while (ready_.empty()) {
      Look look = co_await pool_.run([scan = scan_] {
        Look found{scan->next_batch(), scan->attempt_folder(), false};
        found.gone = found.records.empty() && scan->gone();
        return found;
      });
      std::ranges::move(look.records, std::back_inserter(ready_));
      if (!ready_.empty()) break;
      if (watch_ == nullptr || look.gone) co_return std::nullopt;
      if (look.folder != watched_) {
        // What changed before it was watched is seen by another look.
        ::inotify_add_watch(watch_->get(), look.folder.c_str(), kFolderChanges);
        watched_ = look.folder;
        continue;
      }
      CO_TRY_DO(co_await watch_->read(kEventBytes));
    }
    LogRecord record = std::move(ready_.front());
    ready_.pop_front();
    co_return record;
  }

 private:
  base::BlockingPool& pool_;
  // Shared with a call on the pool that outlives a reader whose task is cancelled.
  std::shared_ptr<LogScan> scan_;
  std::unique_ptr<AsyncFd> watch_;  ///< Null: nobody follows.
  Path watched_;
  std::deque<LogRecord> ready_;
};

}  // namespace

base::Task<Result<std::unique_ptr<LogReader>>> open_log(const base::Executor& executor,
                                                        base::BlockingPool& pool, Path folder,
                                                        LogQuery query) {
  std::unique_ptr<AsyncFd> watch;
  if (query.follow && !query.previous) {
    UniqueFd fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd) co_return base::fail_errno(errno, "cannot watch a log");
    // Before the first look; a folder that is not there is NotFound then.
    ::inotify_add_watch(fd.get(), folder.c_str(), kFolderChanges);
    watch = std::make_unique<AsyncFd>(executor, std::move(fd));
  }
  LogScanOptions options{std::move(folder), query.previous, query.since, query.tail_lines};
  CO_TRY(std::shared_ptr<LogScan> scan,
         co_await pool.run([options]() -> Result<std::shared_ptr<LogScan>> {
           TRY(LogScan opened, LogScan::open(options));
           return std::make_shared<LogScan>(std::move(opened));
         }));
  co_return std::make_unique<FileLogReader>(pool, std::move(scan), std::move(watch));
}

}  // namespace nexus::process
