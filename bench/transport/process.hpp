#pragma once

// What every program here is made of: two ends in processes of their own, and what they cost.

#include <base/error.hpp>
#include <chrono>
#include <functional>
#include <string>

namespace bench {

[[noreturn]] void die(const std::string& what);
/// Ends the program when `good` is false; `what` and errno say why.
void must(bool good, const char* what);
template <class T>
T must(base::Result<T> result, const char* what) {
  if (!result) die(std::string(what) + ": " + result.error().describe());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

/// Of this process, all threads, kernel and user.
double cpu_seconds();
double wall_seconds();
/// Memory of this process that is not shared with its files, in KiB.
double anonymous_kib();
/// Keeps this process on one core, where there are several. A sender and its receiver take turns on
/// the same core in another rhythm than on two.
void pin(unsigned core);
/// pin(), behind whoever else runs there: this process then finds several things to do at once, as
/// one under load does, and is not woken for each.
void pin_behind(unsigned core);

/// Numbers between two processes.
class Pipe {
 public:
  explicit Pipe(int fd) : fd_(fd) {}
  ~Pipe();
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void put(double value);
  /// Waits. Ends the program when the other process has ended.
  double get();
  /// Whether get() would not wait.
  bool ready() const;
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// The other end, which runs `body` in a process of its own. Fork before there are threads.
class Child {
 public:
  explicit Child(const std::function<void(Pipe&)>& body);
  /// Ends the process.
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  Pipe& pipe() { return *pipe_; }

 private:
  int pid_ = -1;
  std::unique_ptr<Pipe> pipe_;
};

}  // namespace bench
