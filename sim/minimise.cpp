#include "sim/minimise.hpp"

#include <algorithm>

#include "sim/run_apart.hpp"

namespace sim {

namespace {

class Minimiser {
 public:
  Minimiser(Minimal minimal, const Trial& trial, std::size_t trials_max)
      : kind_(kind_of(minimal.failure)),
        best_(std::move(minimal)),
        trial_(trial),
        trials_max_(trials_max) {}

  Minimal run() {
    for (bool smaller = true; smaller && best_.trials < trials_max_;) {
      smaller = false;
      if (leave_out_faults()) smaller = true;
      for (std::size_t i = 0; i < best_.plan.liars.size(); ++i) {
        if (best_.plan.liars[i].empty()) continue;
        if (attempt([&](Plan& plan) { plan.liars[i].clear(); })) smaller = true;
      }
      while (best_.plan.clients > 1 && attempt([](Plan& plan) { --plan.clients; })) smaller = true;
      if (best_.plan.skew_max > 0 && attempt([](Plan& plan) { plan.skew_max = 0; })) smaller = true;
      while (best_.plan.faults_until > std::chrono::milliseconds(10) &&
             attempt([](Plan& plan) { shorten(plan); }))
        smaller = true;
    }
    return std::move(best_);
  }

 private:
  template <class Change>
  bool attempt(Change change) {
    if (best_.trials >= trials_max_) return false;
    Plan plan = best_.plan;
    change(plan);
    ++best_.trials;
    auto failure = trial_(plan);
    if (failure.empty() || kind_of(failure) != kind_) return false;
    best_.plan = std::move(plan);
    best_.failure = std::move(failure);
    return true;
  }

  // To three quarters; what would begin later is left out.
  static void shorten(Plan& plan) {
    const auto micros = plan.faults_until.count() / 1000 * 3 / 4;
    plan.faults_until = std::chrono::microseconds(micros);
    std::erase_if(plan.faults, [&](const Fault& fault) { return fault.at >= plan.faults_until; });
  }

  bool leave_out_faults() {
    const std::size_t before = best_.plan.faults.size();
    for (std::size_t part = std::max<std::size_t>(before, 1);;
         part = std::max<std::size_t>(part / 2, 1)) {
      bool gone = false;
      for (std::size_t from = 0; from < best_.plan.faults.size();) {
        const std::size_t to = std::min(from + part, best_.plan.faults.size());
        const bool without = attempt([&](Plan& plan) {
          const auto begin = plan.faults.begin();
          plan.faults.erase(begin + static_cast<std::ptrdiff_t>(from),
                            begin + static_cast<std::ptrdiff_t>(to));
        });
        if (without) {
          gone = true;
        } else {
          from = to;
        }
      }
      // What could not go before may go now that others are gone.
      if (part == 1 && !gone) break;
    }
    return best_.plan.faults.size() < before;
  }

  const std::string kind_;
  Minimal best_;
  const Trial& trial_;
  const std::size_t trials_max_;
};

}  // namespace

Minimal minimise(Plan plan, std::string failure, const Trial& trial, std::size_t trials_max) {
  return Minimiser({std::move(plan), std::move(failure), 0}, trial, trials_max).run();
}

}  // namespace sim
