#include "consensus/mutants.hpp"

namespace hypermesh::consensus {

#ifdef HYPERMESH_MUTANTS
Mutant active_mutant = Mutant::None;
#endif

std::string_view to_text(Mutant mutant) {
  constexpr std::string_view kNames[] = {
      "none",
      "quorum too small",
      "lock ignored",
      "prepare before durable",
      "commit before durable",
      "wish before durable",
      "promises forgotten",
      "primacy kept over restart",
      "parent unchecked",
      "base unchecked",
      "base not carried on",
      "new view unproven",
      "lowest claim chosen",
      "wishes unchecked",
      "wishes counted twice",
      "timers run alone",
      "votes of other views",
      "votes unchecked",
      "certificates unchecked",
      "evidence unchecked",
      "windows outside state",
      "laggards left behind",
      "released too early",
      "checkpoint votes forgotten",
      "time unchecked",
      "checkpoint of one",
      "executed twice",
      "base before durable",
      "epochs unchecked",
      "holds of a quorum",
      "hold before durable",
      "counted before durable",
      "hold without certificate",
      "held ignored",
      "held forgotten",
      "reads ignore held",
      "newest spoken",
      "newest executed",
      "outdated by one",
  };
  return kNames[static_cast<std::size_t>(mutant)];
}

}  // namespace hypermesh::consensus
