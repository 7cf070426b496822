#include <fmt/format.h>

#include "sim/node.hpp"

// Messages in a trace.

namespace sim {

using namespace hypermesh::consensus;

std::string describe(const Message& message) {
  struct Describe {
    std::string operator()(const Proposal& m) const {
      return fmt::format("proposal view {} slot {} {}", m.view, m.link->block.slot,
                         base::to_hex(m.link->digest).substr(0, 8));
    }
    std::string operator()(const Vote& m) const {
      return fmt::format("{} view {} slot {} {}", to_text(m.statement.phase), m.statement.view,
                         m.statement.slot, base::to_hex(m.statement.digest).substr(0, 8));
    }
    std::string operator()(const ViewChange& m) const {
      return fmt::format("wish for view {}, has view {} slot {} and {} behind it", m.view,
                         m.wish.claim.view, m.wish.claim.slot, m.wish.held.size());
    }
    std::string operator()(const NewView& m) const {
      const Claim& highest = highest_claim(m.wishes);
      return fmt::format("new view {} from view {} slot {}", m.view, highest.view, highest.slot);
    }
    std::string operator()(const Status& m) const {
      return fmt::format("status epoch {} of {} view {}{} committed {} accepted {} stable {}",
                         m.epoch, m.proven, m.view, m.changing ? " (wanted)" : "", m.committed,
                         m.accepted, m.stable);
    }
    std::string operator()(const Committed& m) const {
      return fmt::format("{} committed blocks up to {}", m.links.size(),
                         m.certificate.statement.slot);
    }
    std::string operator()(const Decided& m) const {
      return fmt::format("slot {} is decided in view {} ({})", m.certificate.statement.slot,
                         m.certificate.statement.view, to_text(m.certificate.statement.phase));
    }
    std::string operator()(const VoteOpenly& m) const {
      return fmt::format("vote openly in view {} up to slot {}", m.view, m.slot);
    }
    std::string operator()(const StableCheckpoint& m) const {
      return fmt::format("checkpoint {}", m.certificate.statement.slot);
    }
    std::string operator()(const Fetch& m) const {
      return fmt::format("fetch {} to {}", m.above + 1, m.slot);
    }
    std::string operator()(const Fetched& m) const {
      return fmt::format("{} fetched blocks", m.links.size());
    }
    std::string operator()(const Submit& m) const {
      return fmt::format("bundle {}", m.bundle->sequence);
    }
    std::string operator()(const ReadAsk& m) const {
      return fmt::format("asks how far epoch {} is, {}", m.epoch, m.round);
    }
    std::string operator()(const ReadAnswer& m) const {
      return fmt::format("is at slot {}, {}", m.slot, m.round);
    }
    std::string operator()(const Evidence& m) const {
      return fmt::format("evidence against {}", m.first.replica);
    }
    std::string operator()(const Epochs& m) const {
      return fmt::format(
          "ends of {} epochs{}", m.ends.size(),
          m.newest ? fmt::format(", checkpoint {}", m.newest->certificate.statement.slot) : "");
    }
  };
  return std::visit(Describe(), message);
}

}  // namespace sim
