#pragma once

#include <atomic>
#include <base/async/blocking_pool.hpp>
#include <base/async/task_scope.hpp>
#include <functional>
#include <map>
#include <mutex>

#include "consensus/pbft/replica.hpp"
#include "ed25519/known_key.hpp"

namespace hypermesh::consensus {

/// Checks signatures of keys that come again and again: voters', and those of busy clients.
/// Any thread.
class Signatures {
 public:
  pbft::Checked check(const pbft::Check& check);
  /// That did not hold.
  std::uint64_t bad() const { return bad_; }

 private:
  using Known = std::shared_ptr<const base::ed25519::KnownKey>;
  struct Seen {
    std::uint64_t times = 0, last = 0;
    Known known;
  };
  bool verify(const pbft::Check::Item& item);
  Known find(const base::PublicKey& key);
  void forget_oldest();

  std::atomic<std::uint64_t> bad_ = 0;
  std::mutex mutex_;
  std::uint64_t now_ = 0;  // Counts what is checked.
  std::map<base::PublicKey, Seen> seen_;
};

/// Checks signatures on worker threads, all that wait together. All calls are made on one executor.
class SignatureChecker {
 public:
  using OnChecked = std::function<void(pbft::Checked)>;
  /// The pool and the signatures are borrowed.
  SignatureChecker(const base::Executor& executor, base::BlockingPool& pool, Signatures& signatures,
                   OnChecked on_checked);
  void check(pbft::Check check);
  base::Task<> stop();

 private:
  base::Task<> run();

  base::BlockingPool& pool_;
  Signatures& signatures_;
  OnChecked on_checked_;
  base::TaskScope scope_;
  base::Event wanted_;
  std::vector<pbft::Check> waiting_;
  bool stopping_ = false;
};

}  // namespace hypermesh::consensus
