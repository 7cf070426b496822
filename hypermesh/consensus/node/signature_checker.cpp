#include "consensus/node/signature_checker.hpp"

namespace hypermesh::consensus {

pbft::Checked check_signatures(const pbft::Check& check) {
  pbft::Checked checked{check.ticket, {}};
  for (const auto& item : check.items)
    checked.good.push_back(base::verify(item.key, item.bytes, item.signature));
  return checked;
}

SignatureChecker::SignatureChecker(const base::Executor& executor, base::BlockingPool& pool,
                                   OnChecked on_checked)
    : pool_(pool), on_checked_(std::move(on_checked)), scope_(executor), wanted_(executor) {
  scope_.spawn(run());
}

void SignatureChecker::check(pbft::Check check) {
  waiting_.push_back(std::move(check));
  wanted_.notify();
}

base::Task<> SignatureChecker::stop() {
  stopping_ = true;
  wanted_.notify();
  co_await scope_.join();
}

base::Task<> SignatureChecker::run() {
  while (!stopping_) {
    if (waiting_.empty()) {
      co_await wanted_.wait();
      continue;
    }
    const auto all = co_await pool_.run([checks = std::exchange(waiting_, {})] {
      std::vector<pbft::Checked> done;
      for (const auto& check : checks) done.push_back(check_signatures(check));
      return done;
    });
    for (const auto& checked : all) on_checked_(checked);
  }
}

}  // namespace hypermesh::consensus
