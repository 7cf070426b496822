#pragma once

#include <base/async/task.hpp>
#include <base/bytes.hpp>
#include <base/random.hpp>
#include <base/time.hpp>
#include <memory>
#include <string>
#include <vector>

#include "dns/answer_cache.hpp"

namespace nexus::dns {

/// Asks other servers in turn, each from a random port under a random id (RFC 5452), and keeps
/// their answers for their time to live.
class Forwarder {
 public:
  static constexpr base::Duration kServerTimeout = std::chrono::seconds(2);

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
  base::Task<base::Result<base::Bytes>> ask_server(const Server& server,
                                                   const base::Bytes& question, std::uint16_t id);
  base::Task<base::Result<base::Bytes>> ask_over_tcp(const Server& server,
                                                     const base::Bytes& question);

  std::vector<Server> servers_;
  std::size_t under_way_max_;
  const base::Clock& clock_;
  base::Rng& rng_;
  std::size_t under_way_ = 0;
  AnswerCache cache_;
};

}  // namespace nexus::dns
