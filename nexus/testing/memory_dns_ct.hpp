#pragma once

#include <algorithm>
#include <nexus/dns_ct.hpp>

namespace nexus {

/// Records and logged certificates in memory.
class MemoryDnsCt final : public DnsCt {
 public:
  void add(DnsRecord record) { records_.push_back(std::move(record)); }

  base::Task<base::Result<DnsAnswer>> resolve(std::string name, std::string type) override {
    DnsAnswer answer;
    bool exists = false;
    for (const DnsRecord& record : records_) {
      if (record.name != name) continue;
      exists = true;
      if (record.type == type) answer.records.push_back(record);
    }
    if (!exists) answer.code = DnsAnswer::Code::NxDomain;
    co_return answer;
  }
  base::Task<base::Result<std::uint64_t>> log_certificate(base::Bytes certificate) override {
    log_.push_back(std::move(certificate));
    co_return log_.size() - 1;
  }
  base::Task<base::Result<>> verify_certificate(base::Bytes certificate) override {
    if (std::ranges::find(log_, certificate) == log_.end()) {
      co_return base::fail(base::Errc::NotVerified, "the certificate is not in the log");
    }
    co_return base::Result<>();
  }

 private:
  std::vector<DnsRecord> records_;
  std::vector<base::Bytes> log_;
};

}  // namespace nexus
