#pragma once

#include <base/error.hpp>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "command/command.hpp"

namespace cli {

/// What a person typed after the command's name. Asking for a flag that the command does not have
/// is our mistake.
class Arguments {
 public:
  explicit Arguments(const Command& command) : command_(&command) {}

  bool has(std::string_view flag) const;
  /// The last value given.
  std::optional<std::string> value(std::string_view flag) const;
  std::string text(std::string_view flag, std::string_view otherwise = {}) const;
  /// All values given, in order.
  std::vector<std::string> all(std::string_view flag) const;
  std::size_t count(std::string_view flag) const;

  const std::vector<std::string>& words() const { return words_; }
  /// The n-th word, or "".
  std::string word(std::size_t n) const { return n < words_.size() ? words_[n] : std::string(); }
  /// What follows "--" (commands that take one).
  const std::vector<std::string>& command_words() const { return command_words_; }
  const Command& command() const { return *command_; }

 private:
  friend class ArgumentParser;
  const Command* command_;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> words_;
  std::vector<std::string> command_words_;
};

/// Reads the words that follow a command's name. Errors: InvalidArgument (unknown flag with the
/// nearest one, missing value, too few or too many words).
base::Result<Arguments> parse_arguments(const Command& command, std::span<const std::string> words);

struct FoundCommand {
  const Command* command = nullptr;  ///< Null: `group` was named alone ("" for no word at all).
  std::string group;
  std::vector<std::string> rest;  ///< Words without the command's name.
};
/// Errors: InvalidArgument (unknown command, with the nearest one).
base::Result<FoundCommand> find_command(std::span<const Command* const> commands,
                                        std::span<const std::string> words);

}  // namespace cli
