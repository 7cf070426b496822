#include "command/command.hpp"

namespace cli {
namespace {

constexpr Flag kGlobalFlags[] = {
    {"namespace",
     'n',
     "NS",
     "namespace of the objects (default: the context's, else \"default\")",
     false,
     {},
     Completes::Namespace},
    {"output", 'o', "FORM",
     "table, wide, json, yaml, name, jsonpath=TEMPLATE or custom-columns=HEAD:PATH,..."},
    {"no-headers", '\0', "", "tables without their heads"},
    {"yes", 'y', "",
     "go on without asking; needed in scripts where something is replaced or removed"},
    {"dry-run", '\0', "WHERE",
     "stop after the plan; the node checks it (server) or only this program (client)", false,
     "server", Completes::Nothing, "server|client|none"},
    {"timeout", '\0', "DURATION", "how long to wait, such as 90s or 5m (default 5m)"},
    {"detach", '\0', "", "return as soon as the change is accepted"},
    {"quiet", 'q', "", "no progress, and names only where a list is printed"},
    {"context",
     '\0',
     "NAME",
     "the cluster to talk to (hm context ls)",
     false,
     {},
     Completes::Context},
    {"color",
     '\0',
     "WHEN",
     "auto, always or never",
     false,
     {},
     Completes::Nothing,
     "auto|always|never"},
    {"verbose", 'v', "", "say what is asked of the node; -vv also what it answers", true},
    {"trace-id", '\0', "ID", "sent with every request and found in logs and audit"},
    {"as",
     '\0',
     "ROLE",
     "act with a lower role: view or edit",
     false,
     {},
     Completes::Nothing,
     "admin|edit|view"},
    {"help", 'h', "", "explain the command"},
};

}  // namespace

std::span<const Flag> global_flags() {
  return kGlobalFlags;
}

}  // namespace cli
