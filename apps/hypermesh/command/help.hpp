#pragma once

// --help, man pages and the overview, all from the table of commands.

#include <span>
#include <string>
#include <string_view>

#include "command/command.hpp"
#include "output/look.hpp"

namespace cli {

/// "hm image pull REFERENCE [flags]"
std::string usage_line(const Command& command);
std::string render_help(const Command& command, const Look& look);
/// `group` "": all commands.
std::string render_overview(std::span<const Command* const> commands, std::span<const Group> groups,
                            std::string_view group, const Look& look);

/// A page of section 1 in man(7) macros. `version` stands in the footer.
std::string render_man(const Command& command, std::string_view version);
std::string render_man_overview(std::span<const Command* const> commands,
                                std::span<const Group> groups, std::string_view version);
/// "hm-image-pull.1"
std::string man_file_name(const Command& command);

}  // namespace cli
