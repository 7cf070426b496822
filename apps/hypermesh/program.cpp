#include "program.hpp"

#include <fmt/format.h>

#include <base/error_mapping.hpp>

#include "command/help.hpp"
#include "output/failure.hpp"
#include "session/loop.hpp"
#include "session/session.hpp"

namespace cli {
namespace {

constexpr int kInterruptedExit = 130;  // 128 + SIGINT, as shells count
constexpr int kPipeExit = 141;         // 128 + SIGPIPE

// The form of errors is wanted before the words could be read: they may be what is wrong.
bool wants_json(std::span<const std::string> words) {
  for (std::size_t i = 0; i < words.size() && words[i] != "--"; ++i) {
    if (words[i] == "-ojson" || words[i] == "-o=json" || words[i] == "--output=json") return true;
    if ((words[i] == "-o" || words[i] == "--output") && i + 1 < words.size() &&
        words[i + 1] == "json")
      return true;
  }
  return false;
}

int fail(Console& console, std::span<const std::string> words, const base::Error& error,
         const std::string& trace) {
  Failure failure = make_failure(error, trace);
  if (error.code == base::Errc::Cancelled && interrupted()) failure.exit = kInterruptedExit;
  if (wants_json(words)) {
    console.err(failure_json(failure).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  } else {
    console.err(render_failure(failure, console.err_look()));
  }
  return failure.exit;
}

bool asks_for_help(std::span<const std::string> words) {
  for (const std::string& word : words) {
    if (word == "--") return false;
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

// A mistake of ours must not leave the terminal as a command has set it.
base::Result<int> run_command(const Command& command, Session& session,
                              const Arguments& arguments) {
  try {
    return command.run(session, arguments);
  } catch (const std::exception& thrown) {
    return base::fail(base::Errc::Internal, fmt::format("hm {}: {}", command.path, thrown.what()));
  }
}

}  // namespace

int run_program(std::span<const std::string> words, const Environment& environment,
                const Streams& streams, const base::Clock& clock) {
  Console console(streams.in, streams.out, streams.err, environment);
  if (words.size() == 1 && words[0] == "--version") {
    const std::string version[] = {"version"};
    return run_program(version, environment, streams, clock);
  }
  auto found = find_command(all_commands(), words);
  if (!found) return fail(console, words, found.error(), {});
  if (found->command == nullptr) {
    if (!found->group.empty() && !asks_for_help(words)) {
      console.err(
          render_overview(all_commands(), command_groups(), found->group, console.err_look()));
      return base::exit_code(base::Errc::InvalidArgument);
    }
    console.out(
        render_overview(all_commands(), command_groups(), found->group, console.out_look()));
    return 0;
  }
  const Command& command = *found->command;
  if (!command.hidden && asks_for_help(found->rest)) {
    console.out(render_help(command, console.out_look()));
    return 0;
  }
  const auto arguments = parse_arguments(command, found->rest);
  if (!arguments) return fail(console, words, arguments.error(), {});
  Session session(console, environment, clock);
  if (const auto configured = session.configure(*arguments); !configured)
    return fail(console, words, configured.error(), {});
  if (command.acts_at_once && session.dry_run() != DryRun::No) {
    return fail(console, words,
                base::make_error(base::Errc::InvalidArgument,
                                 fmt::format("hm {} has no plan that --dry-run could stop after; "
                                             "nothing was done",
                                             command.path)),
                {});
  }
  const auto exit = run_command(command, session, *arguments);
  console.board() = ProgressBoard();
  console.clear_progress();
  console.flush();
  // `| head` has what it wanted.
  if (!exit && exit.error().code == base::Errc::Cancelled && console.out_broken()) return kPipeExit;
  if (!exit) return fail(console, words, exit.error(), session.refusal_trace());
  return *exit;
}

}  // namespace cli
