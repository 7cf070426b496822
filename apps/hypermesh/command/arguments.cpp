#include "command/arguments.hpp"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>

#include "output/suggest.hpp"

namespace cli {
namespace {

std::unexpected<base::Error> usage_error(const Command& command, std::string message) {
  return std::unexpected(
      base::with_hint(base::make_error(base::Errc::InvalidArgument, std::move(message)),
                      fmt::format("hm {} --help", command.path)));
}

std::string names_of(const Flag& flag) {
  return flag.letter != '\0' ? fmt::format("-{},--{}", flag.letter, flag.name)
                             : fmt::format("--{}", flag.name);
}

std::string usage_words(const Command& command) {
  std::string out;
  for (const Argument& argument : command.arguments) {
    const std::string name = std::string(argument.name) + (argument.repeated ? "..." : "");
    out += argument.required ? " " + name : " [" + name + "]";
  }
  if (command.takes_command) out += " -- COMMAND";
  return out;
}

std::unexpected<base::Error> unknown_flag(const Command& command, std::string_view word) {
  const std::string_view name = word.substr(0, word.find('='));
  std::string message = fmt::format("unknown flag \"{}\" for hm {}", name, command.path);
  if (name.starts_with("--")) {
    std::vector<std::string_view> known;
    for (const Flag& flag : command.flags) known.push_back(flag.name);
    for (const Flag& flag : global_flags()) known.push_back(flag.name);
    if (const std::string near = suggest(name.substr(2), known); !near.empty())
      message += fmt::format("; did you mean \"--{}\"?", near);
  }
  return usage_error(command, std::move(message));
}

base::Result<> check_choice(const Command& command, std::string_view what, std::string_view choices,
                            std::string_view value) {
  if (choices.empty()) return {};
  std::vector<std::string_view> allowed;
  for (std::string_view rest = choices; !rest.empty();) {
    const std::size_t end = std::min(rest.find('|'), rest.size());
    allowed.push_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (std::ranges::find(allowed, value) != allowed.end()) return {};
  return usage_error(command,
                     fmt::format("{} is \"{}\"; want {}", what, value, fmt::join(allowed, ", ")));
}

base::Result<> check_words(const Command& command, const std::vector<std::string>& words) {
  std::size_t least = 0;
  bool open = false;
  for (const Argument& argument : command.arguments) {
    if (argument.required) ++least;
    open = open || argument.repeated;
  }
  if (words.size() < least) {
    return usage_error(command, fmt::format("hm {} wants{}", command.path, usage_words(command)));
  }
  if (!open && words.size() > command.arguments.size()) {
    return usage_error(
        command, fmt::format("\"{}\" is one word too many for hm {}{}",
                             words[command.arguments.size()], command.path, usage_words(command)));
  }
  for (std::size_t i = 0; i < words.size() && !command.arguments.empty(); ++i) {
    const Argument& argument = command.arguments[std::min(i, command.arguments.size() - 1)];
    TRY_DO(check_choice(command, argument.name, argument.choices, words[i]));
  }
  return {};
}

}  // namespace

const Flag* find_flag(const Command& command, std::string_view name) {
  for (const Flag& flag : command.flags) {
    if (flag.name == name) return &flag;
  }
  for (const Flag& flag : global_flags()) {
    if (flag.name == name) return &flag;
  }
  return nullptr;
}

bool Arguments::has(std::string_view flag) const {
  return count(flag) > 0;
}

std::size_t Arguments::count(std::string_view flag) const {
  BASE_ASSERT(find_flag(*command_, flag) != nullptr, flag);
  const auto found = values_.find(flag);
  return found == values_.end() ? 0 : found->second.size();
}

std::optional<std::string> Arguments::value(std::string_view flag) const {
  if (!has(flag)) return std::nullopt;
  return values_.find(flag)->second.back();
}

std::string Arguments::text(std::string_view flag, std::string_view otherwise) const {
  return value(flag).value_or(std::string(otherwise));
}

std::vector<std::string> Arguments::all(std::string_view flag) const {
  return has(flag) ? values_.find(flag)->second : std::vector<std::string>();
}

/// CLI11 does the reading (letters that are joined, --name=value, values that begin with a dash);
/// what is wrong is said in our own words.
class ArgumentParser {
 public:
  static base::Result<Arguments> parse(const Command& command, std::span<const std::string> words) {
    Arguments out(command);
    const auto dashes = std::ranges::find(words, "--");
    std::vector<std::string> before(words.begin(), dashes);
    std::vector<std::string> after(dashes == words.end() ? dashes : dashes + 1, words.end());

    CLI::App app;
    app.set_help_flag();
    app.allow_extras();
    std::map<std::string_view, std::vector<std::string>> values;
    std::map<std::string_view, std::pair<CLI::Option*, const Flag*>> options;
    const auto add = [&](const Flag& flag) {
      if (options.contains(flag.name)) return;
      CLI::Option* option = nullptr;
      if (flag.value.empty()) {
        option = app.add_flag(names_of(flag));
      } else {
        option = app.add_option(names_of(flag), values[flag.name])->allow_extra_args(false);
        if (flag.implied.empty()) {
          option->expected(1)->take_all();
        } else {
          // Only --flag=VALUE gives a value: the next word is somebody else's.
          option->expected(0, 1)->take_all();
        }
      }
      options[flag.name] = {option, &flag};
    };
    for (const Flag& flag : command.flags) add(flag);
    for (const Flag& flag : global_flags()) add(flag);
    std::vector<std::string> positional;
    app.add_option("words", positional)->expected(0, -1);

    TRY_DO(split_implied(command, before));
    try {
      std::vector<std::string> reversed(before.rbegin(), before.rend());
      app.parse(std::move(reversed));
    } catch (const CLI::ArgumentMismatch& error) {
      return usage_error(command, missing_value(options, before));
    } catch (const CLI::Error& error) {
      return usage_error(command, fmt::format("cannot read the command: {}", error.what()));
    }
    for (const std::string& extra : app.remaining()) {
      if (extra.size() > 1 && extra.starts_with('-')) return unknown_flag(command, extra);
      positional.push_back(extra);
    }
    for (const auto& [name, entry] : options) {
      const auto& [option, flag] = entry;
      if (option->count() == 0) continue;
      if (flag->value.empty()) {
        out.values_[std::string(name)] = std::vector<std::string>(option->count(), "true");
        continue;
      }
      std::vector<std::string>& given = values[name];
      for (const std::string& value : given) {
        TRY_DO(check_choice(command, fmt::format("--{}", name), flag->choices, value));
      }
      if (!flag->repeated && given.size() > 1) {
        return usage_error(
            command, fmt::format("--{} is given {} times; once is allowed", name, given.size()));
      }
      out.values_[std::string(name)] = std::move(given);
    }
    if (command.takes_command) {
      // "exec web ls" without dashes: what follows the name is the command.
      const std::size_t own = command.arguments.size();
      if (after.empty() && positional.size() > own) {
        after.assign(positional.begin() + static_cast<std::ptrdiff_t>(own), positional.end());
        positional.resize(own);
      }
      out.command_words_ = std::move(after);
    } else {
      positional.insert(positional.end(), after.begin(), after.end());
    }
    TRY_DO(check_words(command, positional));
    out.words_ = std::move(positional);
    return out;
  }

 private:
  using Options = std::map<std::string_view, std::pair<CLI::Option*, const Flag*>>;

  // A flag with an implied value that stands alone gets it, so that it never eats the next word; a
  // switch has none.
  static base::Result<> split_implied(const Command& command, std::vector<std::string>& words) {
    for (std::string& word : words) {
      if (!word.starts_with("--")) continue;
      const std::size_t equals = word.find('=');
      const Flag* flag = find_flag(command, std::string_view(word).substr(2, equals - 2));
      if (flag == nullptr) continue;
      if (equals == std::string::npos && !flag->implied.empty())
        word += "=" + std::string(flag->implied);
      if (equals != std::string::npos && flag->value.empty()) {
        return usage_error(command, fmt::format("--{} is a switch and takes no value", flag->name));
      }
    }
    return {};
  }

  static std::string missing_value(const Options& options, const std::vector<std::string>& words) {
    // The last flag that wants one: the one that lacks its value stands at the end.
    for (auto word = words.rbegin(); word != words.rend(); ++word) {
      for (const auto& [name, entry] : options) {
        const Flag& flag = *entry.second;
        const bool named =
            *word == "--" + std::string(name) || (flag.letter != '\0' && word->size() == 2 &&
                                                  (*word)[0] == '-' && (*word)[1] == flag.letter);
        if (named && !flag.value.empty())
          return fmt::format("{} wants a value: {}", *word, flag.value);
      }
    }
    return "a flag lacks its value";
  }
};

base::Result<Arguments> parse_arguments(const Command& command,
                                        std::span<const std::string> words) {
  return ArgumentParser::parse(command, words);
}

namespace {

// A global flag and its value may stand before or between the words of the command's name. Answers
// how many words it takes; 0: not a global flag.
std::size_t global_flag_words(std::string_view word) {
  if (word.size() < 2 || word[0] != '-') return 0;
  for (const Flag& flag : global_flags()) {
    const bool is_long = word.starts_with("--") && word.substr(2, word.find('=') - 2) == flag.name;
    const bool is_short = !word.starts_with("--") && flag.letter != '\0' && word[1] == flag.letter;
    if (!is_long && !is_short) continue;
    if (flag.value.empty() || !flag.implied.empty()) return 1;
    const bool joined = is_long ? word.find('=') != std::string_view::npos : word.size() > 2;
    return joined ? 1 : 2;
  }
  return 0;
}

}  // namespace

base::Result<FoundCommand> find_command(std::span<const Command* const> commands,
                                        std::span<const std::string> words) {
  FoundCommand found;
  std::string path;
  std::size_t i = 0;
  std::vector<std::string> skipped;
  const auto is_group = [&](const std::string& name) {
    return std::ranges::any_of(commands,
                               [&](const Command* c) { return c->path.starts_with(name + " "); });
  };
  while (i < words.size()) {
    if (const std::size_t taken = global_flag_words(words[i]); taken > 0) {
      for (std::size_t end = std::min(i + taken, words.size()); i < end; ++i)
        skipped.push_back(words[i]);
      continue;
    }
    if (words[i].starts_with('-')) break;
    const std::string longer = path.empty() ? words[i] : path + " " + words[i];
    const auto* exact = std::ranges::find(commands, longer, &Command::path).base();
    const bool known = exact != commands.data() + commands.size();
    if (known) found.command = *exact;
    if (!known && !is_group(longer)) break;
    path = longer;
    ++i;
    if (known && !is_group(longer)) break;
  }
  // "get pods": the path ends at the command, the rest is its words.
  found.rest = std::move(skipped);
  found.rest.insert(found.rest.end(), words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
  if (found.command != nullptr && found.command->path == path) return found;
  found.command = nullptr;
  found.group = path;
  if (i < words.size() && !words[i].starts_with('-')) {
    std::vector<std::string_view> candidates;
    const std::string prefix = path.empty() ? "" : path + " ";
    for (const Command* command : commands) {
      if (command->hidden || !command->path.starts_with(prefix)) continue;
      const std::string_view tail = command->path.substr(prefix.size());
      candidates.push_back(tail.substr(0, tail.find(' ')));
    }
    std::string message = fmt::format("unknown command \"{}{}\"", prefix, words[i]);
    if (const std::string near = suggest(words[i], candidates); !near.empty())
      message += fmt::format("; did you mean \"{}{}\"?", prefix, near);
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::InvalidArgument, std::move(message)),
                        path.empty() ? "hm help" : fmt::format("hm {} --help", path)));
  }
  return found;
}

}  // namespace cli
