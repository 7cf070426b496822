#pragma once

#include <base/async/task.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>

namespace stoq::rpc {

/// One timer for the deadlines of many calls, on one executor. The clock outlives it.
///
/// The timer is set anew only for a deadline before all others: calls that end in time, as nearly
/// all do, cost an entry in a map each.
class Deadlines : public std::enable_shared_from_this<Deadlines> {
 public:
  class Entry {
   public:
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   protected:
    Entry() = default;
    ~Entry();

   private:
    friend class Deadlines;
    /// Its time has come; it is armed no more.
    virtual void expired() = 0;
    std::shared_ptr<Deadlines> armed_by_;
    std::multimap<base::MonotonicTime, Entry*>::iterator place_;
  };

  Deadlines(const base::Executor& executor, const base::Clock& clock);

  const base::Clock& clock() const { return clock_; }
  /// Again, if it was armed. max(): never.
  void arm(Entry& entry, base::MonotonicTime at);
  static void disarm(Entry& entry);

 private:
  void set_timer();
  void expire();

  const base::Clock& clock_;
  boost::asio::steady_timer timer_;
  base::MonotonicTime timer_at_ = base::MonotonicTime::max();
  std::multimap<base::MonotonicTime, Entry*> entries_;
};

}  // namespace stoq::rpc
