#include "command/completion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace cli {
namespace {

void add_choices(Completion& out, std::string_view choices) {
  while (!choices.empty()) {
    const std::size_t end = std::min(choices.find('|'), choices.size());
    out.candidates.push_back({std::string(choices.substr(0, end)), ""});
    choices.remove_prefix(std::min(end + 1, choices.size()));
  }
}

void add_value(Completion& out, Completes what, std::string_view choices) {
  if (!choices.empty()) {
    add_choices(out, choices);
  } else {
    out.names = what;
  }
}

void add_flags(Completion& out, const Command* command) {
  const auto add = [&](const Flag& flag) {
    out.candidates.push_back({"--" + std::string(flag.name), std::string(flag.help)});
  };
  if (command != nullptr) {
    for (const Flag& flag : command->flags) add(flag);
  }
  for (const Flag& flag : global_flags()) {
    if (command == nullptr || find_flag(*command, flag.name) == &flag) add(flag);
  }
}

void add_commands(Completion& out, std::span<const Command* const> commands,
                  std::span<const Group> groups, const std::string& path) {
  const std::string prefix = path.empty() ? "" : path + " ";
  for (const Command* command : commands) {
    if (command->hidden || !command->path.starts_with(prefix)) continue;
    const std::string_view tail = command->path.substr(prefix.size());
    const std::string_view word = tail.substr(0, tail.find(' '));
    if (std::ranges::find(out.candidates, word, &Candidate::word) != out.candidates.end()) continue;
    const auto group = std::ranges::find(groups, word, &Group::name);
    out.candidates.push_back(
        {std::string(word),
         std::string(word == tail || group == groups.end() ? command->summary : group->summary)});
  }
}

const Flag* flag_named(const Command* command, std::string_view word) {
  if (word.starts_with("--")) {
    const std::string_view name = word.substr(2);
    if (command != nullptr) return find_flag(*command, name);
    const auto found = std::ranges::find(global_flags(), name, &Flag::name);
    return found == global_flags().end() ? nullptr : &*found;
  }
  if (word.size() != 2 || word[0] != '-') return nullptr;
  const auto by_letter = [&](std::span<const Flag> flags) -> const Flag* {
    const auto found = std::ranges::find(flags, word[1], &Flag::letter);
    return found == flags.end() ? nullptr : &*found;
  };
  const Flag* own = command != nullptr ? by_letter(command->flags) : nullptr;
  return own != nullptr ? own : by_letter(global_flags());
}

}  // namespace

Completion complete(std::span<const Command* const> commands, std::span<const Group> groups,
                    std::span<const std::string> words) {
  Completion out;
  if (words.empty()) return out;
  out.word = words.back();
  const Command* command = nullptr;
  std::string path;
  std::vector<std::string> positional;
  const Flag* waiting = nullptr;  // a flag whose value comes next
  bool path_open = true, after_dashes = false;
  for (const std::string& word : words.first(words.size() - 1)) {
    if (waiting != nullptr) {
      if (waiting->name == "namespace") out.name_space = word;
      waiting = nullptr;
    } else if (word == "--") {
      after_dashes = true;
    } else if (!after_dashes && word.size() > 1 && word[0] == '-') {
      const Flag* flag = flag_named(command, word);
      if (flag != nullptr && !flag->value.empty() && flag->implied.empty()) waiting = flag;
      if (word.starts_with("--namespace=")) out.name_space = word.substr(12);
    } else {
      const std::string longer = path.empty() ? word : path + " " + word;
      const auto found =
          std::ranges::find_if(commands, [&](const Command* c) { return c->path == longer; });
      const bool group = std::ranges::any_of(
          commands, [&](const Command* c) { return c->path.starts_with(longer + " "); });
      if (path_open && (found != commands.end() || group)) {
        path = longer;
        if (found != commands.end()) command = *found;
        path_open = group;
      } else {
        path_open = false;
        positional.push_back(word);
      }
    }
  }
  if (after_dashes && command != nullptr && command->takes_command) return out;
  if (waiting != nullptr) {
    add_value(out, waiting->completes, waiting->choices);
    return out;
  }
  if (!after_dashes && out.word.starts_with('-')) {
    const std::size_t equals = out.word.find('=');
    if (equals == std::string::npos) {
      add_flags(out, command);
      return out;
    }
    const Flag* flag = flag_named(command, std::string_view(out.word).substr(0, equals));
    out.prefix = out.word.substr(0, equals + 1);
    out.word.erase(0, equals + 1);
    if (flag != nullptr && !flag->value.empty()) add_value(out, flag->completes, flag->choices);
    return out;
  }
  if (path_open && positional.empty()) add_commands(out, commands, groups, path);
  if (command != nullptr && command->path == path && !command->arguments.empty()) {
    const std::size_t at = std::min(positional.size(), command->arguments.size() - 1);
    const Argument& argument = command->arguments[at];
    if (positional.size() < command->arguments.size() || argument.repeated) {
      add_value(out, argument.completes, argument.choices);
      if (out.names == Completes::NameOfKind) {
        if (!positional.empty()) out.kind = positional.front();
        // "deployment/we": the kind stands in the word itself.
        if (const std::size_t slash = out.word.find('/'); slash != std::string::npos)
          out.kind = out.word.substr(0, slash);
      }
    }
  }
  return out;
}

base::Result<std::string> completion_script(std::string_view shell) {
  // Each line of `hm __complete` is WORD<tab>DESCRIPTION; ":files" and ":folders" ask for the
  // shell's own.
  if (shell == "bash") {
    return std::string(R"SH(# bash completion for hm. Load:  source <(hm completion bash)
_hm() {
  local line word cur=${COMP_WORDS[COMP_CWORD]} reply=()
  local -a words=("${COMP_WORDS[@]:1:COMP_CWORD}")
  # "=" and ":" break words in bash; hm wants them whole.
  local joined=()
  for word in "${words[@]}"; do
    if [[ ${#joined[@]} -gt 0 && ( $word == [=:]* || ${joined[-1]} == *[=:] ) ]]; then joined[-1]+=$word; else joined+=("$word"); fi
  done
  local whole=${joined[-1]-} head=
  [[ $whole != "$cur" && $cur != [=:] ]] && head=${whole%"$cur"}
  [[ $cur == [=:] ]] && { head=$whole; cur=; }
  while IFS= read -r line; do
    case $line in
      :files) compopt -o filenames 2>/dev/null || true; mapfile -t -O ${#reply[@]} reply < <(compgen -f -- "$cur") ;;
      :folders) compopt -o filenames 2>/dev/null || true; mapfile -t -O ${#reply[@]} reply < <(compgen -d -- "$cur") ;;
      *) line=${line%%$'\t'*}; reply+=("${line#"$head"}")
         # "deployment.": a field follows.
         [[ $line == *. ]] && { compopt -o nospace 2>/dev/null || true; } ;;
    esac
  done < <("${COMP_WORDS[0]}" __complete -- "${joined[@]}" 2>/dev/null)
  COMPREPLY=("${reply[@]}")
}
complete -F _hm hm hypermesh
)SH");
  }
  if (shell == "zsh") {
    return std::string(R"SH(#compdef hm hypermesh
# zsh completion for hm. Load:  source <(hm completion zsh)
_hm() {
  local line word what
  local -a found described open
  while IFS= read -r line; do
    case $line in
      :files) _files ;;
      :folders) _files -/ ;;
      *.|*.$'\t'*) open+=("${line%%$'\t'*}") ;;
      *) word=${line%%$'\t'*}; what=${line#*$'\t'}
         found+=("$word"); [[ $what != "$line" && -n $what ]] && described+=("$word -- $what") || described+=("$word") ;;
    esac
  done < <("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)
  (( ${#open} )) && compadd -S '' -a open
  (( ${#found} )) && compadd -l -d described -a found
}
if [[ ${funcstack[1]-} == _hm ]]; then _hm "$@"; else compdef _hm hm hypermesh; fi
)SH");
  }
  if (shell == "fish") {
    return std::string(R"SH(# fish completion for hm. Load:  hm completion fish | source
function __hm_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -e words[1]
    for line in ($program __complete -- $words $current 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path $current
            case ':folders'
                __fish_complete_directories $current
            case '*'
                echo $line
        end
    end
end
complete -c hm -f -a '(__hm_complete)'
complete -c hypermesh -f -a '(__hm_complete)'
)SH");
  }
  return base::fail(base::Errc::InvalidArgument,
                    fmt::format("no completion for shell \"{}\"; want bash, zsh or fish", shell));
}

}  // namespace cli
