#pragma once

// What may stand at the cursor. Pure: says which candidates are fixed and which names have to be
// asked for.

#include <span>
#include <string>
#include <vector>

#include "command/command.hpp"

namespace cli {

struct Candidate {
  std::string word;
  std::string what;  ///< A short description; may be empty.
};

struct Completion {
  std::vector<Candidate> candidates;
  /// Names to ask the node for, beside the candidates.
  Completes names = Completes::Nothing;
  std::string kind;        ///< With NameOfKind.
  std::string name_space;  ///< As given on the line; "" when not.
  std::string prefix;  ///< What is typed of a value that is joined to its flag ("--file="); each
                       ///< answer carries it.
  std::string word;    ///< The word at the cursor, without `prefix`; candidates begin with it.
};

/// `words` are those after the program's name; the last one is the word at the cursor (may be "").
Completion complete(std::span<const Command* const> commands, std::span<const Group> groups,
                    std::span<const std::string> words);

/// The script that a shell loads; it asks `hm __complete`. Errors: InvalidArgument (unknown shell).
base::Result<std::string> completion_script(std::string_view shell);

}  // namespace cli
