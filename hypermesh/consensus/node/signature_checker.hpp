#pragma once

#include <base/async/blocking_pool.hpp>
#include <base/async/task_scope.hpp>
#include <functional>

#include "consensus/pbft/replica.hpp"

namespace hypermesh::consensus {

pbft::Checked check_signatures(const pbft::Check& check);

/// Checks signatures on worker threads, all that wait together. All calls are made on one executor.
class SignatureChecker {
 public:
  using OnChecked = std::function<void(pbft::Checked)>;
  SignatureChecker(const base::Executor& executor, base::BlockingPool& pool, OnChecked on_checked);
  void check(pbft::Check check);
  base::Task<> stop();

 private:
  base::Task<> run();

  base::BlockingPool& pool_;
  OnChecked on_checked_;
  base::TaskScope scope_;
  base::Event wanted_;
  std::vector<pbft::Check> waiting_;
  bool stopping_ = false;
};

}  // namespace hypermesh::consensus
