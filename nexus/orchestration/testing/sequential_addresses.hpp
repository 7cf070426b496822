#pragma once

#include <nexus/address_allocator.hpp>
#include <set>

namespace nexus::orchestration {

/// fd00:ffff::N and 10.0.240.N, N from 1 to 254, the lowest free one first.
class SequentialAddresses final : public AddressAllocator {
 public:
  base::Result<Pair> allocate() override {
    for (int n = 1; n < 255; ++n) {
      if (used_.insert(n).second) return pair(n);
    }
    return base::fail(base::Errc::ResourceExhausted, "all 254 service addresses are in use");
  }
  base::Result<Pair> reserve(const std::string& address) override {
    const int n = number(address);
    if (n == 0)
      return base::fail(base::Errc::InvalidArgument, address + " is outside the range of services");
    if (!used_.insert(n).second)
      return base::fail(base::Errc::AlreadyExists, address + " is in use");
    return pair(n);
  }
  void release(const std::string& address) override { used_.erase(number(address)); }
  std::size_t used() const { return used_.size(); }

 private:
  static constexpr std::string_view kV6 = "fd00:ffff::", kV4 = "10.0.240.";
  static Pair pair(int n) {
    return {std::string(kV6) + std::to_string(n), std::string(kV4) + std::to_string(n)};
  }
  static int number(const std::string& address) {
    for (const std::string_view prefix : {kV6, kV4}) {
      if (address.starts_with(prefix)) return std::atoi(address.c_str() + prefix.size());
    }
    return 0;
  }
  std::set<int> used_;
};

}  // namespace nexus::orchestration
