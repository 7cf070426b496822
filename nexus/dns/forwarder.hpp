#pragma once

#include <base/async/task.hpp>
#include <base/bytes.hpp>
#include <base/random.hpp>
#include <base/time.hpp>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace nexus::dns {

/// Asks other servers in turn, each from a random port under a random id (RFC 5452), and keeps
/// their answers for their time to live.
class Forwarder {
 public:
  static constexpr base::Duration kServerTimeout = std::chrono::seconds(2);
  static constexpr std::uint32_t kCacheSecondsMax = 3600;

  struct Server {
    std::string address;
    std::uint16_t port;
  };
  /// `clock` and `rng` are borrowed.
  Forwarder(std::vector<Server> servers, std::size_t under_way_max, std::size_t cache_entries_max,
            const base::Clock& clock, base::Rng& rng);

  /// The answer to `question` under the question's own id. Errors: TimedOut (no server answered),
  /// ResourceExhausted (too many questions under way).
  base::Task<base::Result<base::Bytes>> ask(base::Bytes question);

 private:
  struct Cached {
    base::Bytes answer;
    base::MonotonicTime until;
  };
  base::Task<base::Result<base::Bytes>> ask_server(const Server& server,
                                                   const base::Bytes& question, std::uint16_t id);
  base::Task<base::Result<base::Bytes>> ask_over_tcp(const Server& server,
                                                     const base::Bytes& question);
  void keep(const std::string& key, const base::Bytes& answer);

  std::vector<Server> servers_;
  std::size_t under_way_max_, cache_entries_max_;
  const base::Clock& clock_;
  base::Rng& rng_;
  std::size_t under_way_ = 0;
  std::map<std::string, Cached> cache_;  ///< By lower-case name, type and class.
};

}  // namespace nexus::dns
