#include "command/help.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace cli {
namespace {

std::string flag_words(const Flag& flag) {
  std::string out = flag.letter != '\0' ? fmt::format("-{}, --{}", flag.letter, flag.name)
                                        : fmt::format("    --{}", flag.name);
  if (flag.value.empty()) return out;
  return out +
         (flag.implied.empty() ? fmt::format(" {}", flag.value) : fmt::format("[={}]", flag.value));
}

struct Row {
  std::string left, right;
};

std::string two_columns(const std::vector<Row>& rows, std::size_t indent) {
  std::size_t width = 0;
  for (const Row& row : rows) width = std::max(width, display_width(row.left));
  std::string out;
  for (const Row& row : rows) {
    out.append(indent, ' ') += row.left;
    if (!row.right.empty()) out.append(width - display_width(row.left) + 3, ' ') += row.right;
    out += '\n';
  }
  return out;
}

std::vector<Row> flag_rows(std::span<const Flag> flags, const Command* owner) {
  std::vector<Row> rows;
  for (const Flag& flag : flags) {
    // A command's own flag stands for the global one of that name.
    const bool shadowed = owner != nullptr && std::ranges::find(owner->flags, flag.name,
                                                                &Flag::name) != owner->flags.end();
    if (!shadowed) rows.push_back({flag_words(flag), std::string(flag.help)});
  }
  return rows;
}

// The visible commands below `prefix`, one row each; of a group only the group.
std::vector<Row> command_rows(std::span<const Command* const> commands,
                              std::span<const Group> groups, std::string_view group) {
  std::vector<Row> rows;
  std::vector<std::string_view> seen;
  const std::string prefix = group.empty() ? "" : std::string(group) + " ";
  for (const Command* command : commands) {
    if (command->hidden || !command->path.starts_with(prefix)) continue;
    const std::string_view tail = command->path.substr(prefix.size());
    const std::string_view word = tail.substr(0, tail.find(' '));
    if (std::ranges::find(seen, word) != seen.end()) continue;
    seen.push_back(word);
    if (word == tail) {
      rows.push_back({std::string(word), std::string(command->summary)});
    } else {
      const auto found = std::ranges::find(groups, word, &Group::name);
      rows.push_back({std::string(word), found != groups.end() ? std::string(found->summary) : ""});
    }
  }
  return rows;
}

// man(7): a backslash and a dot or quote at the start of a line mean something to troff.
std::string troff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
    line_start = c == '\n';
  }
  return out;
}

std::string troff_paragraphs(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\n\n"), text.size());
    const std::string_view paragraph = text.substr(0, end);
    // Indented paragraphs are examples: as they are.
    out += paragraph.starts_with("  ") ? ".PP\n.nf\n" + troff(paragraph) + "\n.fi\n"
                                       : ".PP\n" + troff(paragraph) + "\n";
    text.remove_prefix(std::min(end + 2, text.size()));
  }
  return out;
}

std::string troff_flags(const std::vector<Row>& rows) {
  std::string out;
  for (const Row& row : rows) {
    std::string_view left = row.left;
    left.remove_prefix(std::min(left.find_first_not_of(' '), left.size()));
    out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", troff(left), troff(row.right));
  }
  return out;
}

constexpr std::string_view kExitCodes =
    "0 done; 1 failed; 2 usage, or --yes is needed; 3 not found; 4 cannot be placed; 5 timed out; "
    "6 forbidden; 7 no quorum; 8 a proof or signature "
    "does not verify; 9 conflict; 10 differences or problems were found (diff, config check); 130 "
    "interrupted.";

}  // namespace

std::string usage_line(const Command& command) {
  std::string out = fmt::format("hm {}", command.path);
  for (const Argument& argument : command.arguments) {
    const std::string name = std::string(argument.name) + (argument.repeated ? "..." : "");
    out += argument.required ? " " + name : " [" + name + "]";
  }
  out += " [flags]";
  if (command.takes_command) out += " -- COMMAND [ARG...]";
  return out;
}

std::string render_help(const Command& command, const Look& look) {
  const auto head = [&](std::string_view text) {
    return "\n" + paint(look, Tone::Bold, text) + "\n";
  };
  std::string out = fmt::format("hm {}: {}\n", command.path, command.summary);
  out += head("Usage") + "  " + usage_line(command) + "\n";
  if (!command.description.empty()) out += "\n" + std::string(command.description) + "\n";
  if (!command.examples.empty()) {
    std::vector<Row> rows;
    for (const Example& example : command.examples)
      rows.push_back({std::string(example.line),
                      example.what.empty() ? "" : "# " + std::string(example.what)});
    out += head(rows.size() == 1 ? "Example" : "Examples") + two_columns(rows, 2);
  }
  if (!command.flags.empty())
    out += head("Flags") + two_columns(flag_rows(command.flags, nullptr), 2);
  out += head("Flags of every command") + two_columns(flag_rows(global_flags(), &command), 2);
  return fit(look, out);
}

std::string render_overview(std::span<const Command* const> commands, std::span<const Group> groups,
                            std::string_view group, const Look& look) {
  const auto head = [&](std::string_view text) {
    return "\n" + paint(look, Tone::Bold, text) + "\n";
  };
  std::string out;
  if (group.empty()) {
    out = "HyperMesh: containers, names and content on machines that need not trust each other\n";
    out += head("Usage") + "  hm COMMAND [NAME] [flags]\n";
    out += head("First steps") + two_columns({{"hm dev --detach", "start a development node"},
                                              {"hm deploy demo", "first application, no download"},
                                              {"hm ps", "what runs"},
                                              {"hm why NAME", "why something does not"},
                                              {"hm dev reset", "remove everything"}},
                                             2);
  } else {
    const auto found = std::ranges::find(groups, group, &Group::name);
    out = fmt::format("hm {}{}\n", group,
                      found != groups.end() ? fmt::format(": {}", found->summary) : "");
    out += head("Usage") + fmt::format("  hm {} COMMAND [flags]\n", group);
  }
  out += head("Commands") + two_columns(command_rows(commands, groups, group), 2);
  out += fmt::format("\nhm {}COMMAND --help explains one; hm help lists the topics.\n",
                     group.empty() ? "" : std::string(group) + " ");
  return fit(look, out);
}

std::string man_file_name(const Command& command) {
  std::string name = "hm-" + std::string(command.path);
  std::ranges::replace(name, ' ', '-');
  return name + ".1";
}

std::string render_man(const Command& command, std::string_view version) {
  std::string name = man_file_name(command);
  name.resize(name.size() - 2);
  std::string title = name;
  std::ranges::transform(title, title.begin(), [](unsigned char c) { return std::toupper(c); });
  std::string out =
      fmt::format(".TH {} 1 \"\" \"HyperMesh {}\" \"HyperMesh\"\n.SH NAME\n{} \\- {}\n",
                  troff(title), version, troff(name), troff(command.summary));
  out += ".SH SYNOPSIS\n.B " + troff(usage_line(command)) + "\n";
  out +=
      ".SH DESCRIPTION\n" + (command.description.empty() ? troff(command.summary) + ".\n"
                                                         : troff_paragraphs(command.description));
  if (!command.flags.empty())
    out += ".SH OPTIONS\n" + troff_flags(flag_rows(command.flags, nullptr));
  out += ".SH GLOBAL OPTIONS\n" + troff_flags(flag_rows(global_flags(), &command));
  if (!command.examples.empty()) {
    out += ".SH EXAMPLES\n";
    for (const Example& example : command.examples) {
      out += fmt::format(".TP\n\\fB{}\\fR\n{}\n", troff(example.line), troff(example.what));
    }
  }
  out += ".SH EXIT STATUS\n" + troff(kExitCodes) + "\n.SH SEE ALSO\n.BR hm (1)\n";
  return out;
}

std::string render_man_overview(std::span<const Command* const> commands, std::span<const Group>,
                                std::string_view version) {
  std::string out = fmt::format(
      ".TH HM 1 \"\" \"HyperMesh {}\" \"HyperMesh\"\n.SH NAME\nhm, hypermesh \\- the command line "
      "of HyperMesh\n",
      version);
  out +=
      ".SH SYNOPSIS\n.B hm COMMAND [NAME] [flags]\n.SH DESCRIPTION\nEvery command explains itself "
      "with \\-\\-help and has a page of its own.\n.SH COMMANDS\n";
  for (const Command* command : commands) {
    if (command->hidden) continue;
    std::string page = man_file_name(*command);
    page.resize(page.size() - 2);
    out += fmt::format(".TP\n\\fB{}\\fR(1)\n{}\n", troff(page), troff(command->summary));
  }
  out += ".SH OPTIONS\n" + troff_flags(flag_rows(global_flags(), nullptr));
  out += ".SH EXIT STATUS\n" + troff(kExitCodes) + "\n";
  out +=
      ".SH ENVIRONMENT\n.TP\n\\fBHM_HOME\\fR\nfolder of a development cluster; comes before every "
      "context\n.TP\n\\fBHM_CONTEXT\\fR\nthe context to "
      "use\n.TP\n\\fBNO_COLOR\\fR\nwithout colour when not empty\n.SH "
      "FILES\n.TP\n~/.config/hypermesh/config.yaml\ncontexts\n.TP\n/run/hypermesh/api.sock\nthe "
      "node of this machine\n";
  return out;
}

}  // namespace cli
