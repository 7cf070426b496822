#pragma once

// From manifests to what the cluster holds: prepared and checked first, then written.

#include <span>
#include <string>
#include <vector>

#include "commands/manifests.hpp"
#include "commands/rollout.hpp"

namespace cli {

struct Prepared {
  const nexus::manifest::FileObject* source = nullptr;
  std::string name_space;  ///< "" for kinds without one.
  Json before;             ///< The stored object; null: does not exist.
  Json wanted;             ///< What is sent.
  Json after;              ///< What would be stored, as the server says (or this program, with
                           ///< --dry-run=client).
  Query query;             ///< Of each write.
  PlanLine line;
};

/// Reads what is there, merges (as kubectl apply does, with what was applied last) and has the
/// server check every write without doing it. `manifests` outlives the answer. Errors: the server's
/// refusal, with the object's file and line.
base::Result<std::vector<Prepared>> prepare(Session& session, Api& api, const Manifests& manifests,
                                            const std::string& name_space);

struct Written {
  Json object;
  std::string word;  ///< "created", "configured", "unchanged"
};
struct WriteOutcome {
  std::vector<Written> written;
  std::vector<Rollout> rollouts;
  std::optional<Receipt> receipt;  ///< Of the last write.
};
/// Writes in order. What was written before an error is in `outcome`.
base::Result<> write_all(Session& session, Api& api, std::span<const Prepared> prepared,
                         WriteOutcome& outcome);

/// Asks every Service among the objects and says where it answered; nothing is printed that did
/// not.
void show_addresses(Session& session, std::span<const Written> written);

}  // namespace cli
