// exec and attach: a process of a container on this terminal.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <api_client/client.hpp>
#include <base/async/task_scope.hpp>
#include <boost/asio/signal_set.hpp>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "session/loop.hpp"
#include "session/terminal.hpp"

namespace cli {
namespace {

using api_client::ExecSession;
using base::Result;
using base::Task;

constexpr std::uint8_t kDetachKey = 0x1d;  // Ctrl-]

struct Streams {
  Console& console;
  bool input = false;       // standard input goes to the process
  bool terminal = false;    // the process has a terminal, and so have we
  bool detachable = false;  // Ctrl-] ends an attach, not the process
};

Task<> send_input(ExecSession& session, InputReader& reader, const Streams& streams,
                  base::Event& detached) {
  for (;;) {
    base::Bytes bytes = co_await reader.read();
    if (bytes.empty()) {
      co_await session.close_input();
      co_return;
    }
    if (streams.detachable) {
      const auto key = std::ranges::find(bytes, kDetachKey);
      if (key != bytes.end()) {
        detached.notify();
        co_return;
      }
    }
    if (auto sent = co_await session.write_input(bytes); !sent) co_return;
  }
}

Task<> send_sizes(ExecSession& session, base::Executor executor) {
  base::asio::signal_set changed(executor, SIGWINCH);
  for (;;) {
    const TerminalSize size = terminal_size(STDIN_FILENO);
    if (auto sent = co_await session.resize(size.rows, size.columns); !sent) co_return;
    const auto [error, number] = co_await changed.async_wait(base::use_result);
    if (error) co_return;
  }
}

Task<> receive_output(ExecSession& session, Console& console, base::Event& over,
                      base::Result<>& outcome) {
  for (;;) {
    auto output = co_await session.read_output();
    if (!output) {
      outcome = std::unexpected(std::move(output).error());
      break;
    }
    if (!*output) break;
    const auto text = base::as_text((*output)->data);
    if ((*output)->is_stderr) {
      console.err(text);
    } else {
      console.out(text);
      console.flush();
    }
    if (console.out_broken()) break;
  }
  over.notify();
}

Task<Result<int>> run_process(api_client::Client& client, base::Executor executor, std::string path,
                              Streams streams) {
  CO_TRY(const auto session, co_await client.open_exec(std::move(path)));
  base::Event over(executor);
  Result<> outcome;
  bool detached = false;
  base::TaskScope scope(executor);
  {
    std::optional<RawTerminal> raw;
    std::optional<InputReader> reader;
    if (streams.terminal) raw.emplace(streams.console.in());
    scope.spawn(receive_output(*session, streams.console, over, outcome));
    base::Event detach(executor);
    if (streams.input) {
      reader.emplace(executor, streams.console.in());
      scope.spawn(send_input(*session, *reader, streams, detach));
    }
    if (streams.terminal) scope.spawn(send_sizes(*session, executor));
    if (streams.detachable) {
      scope.spawn([](base::Event& key, base::Event& end, bool& flag) -> Task<> {
        co_await key.wait();
        flag = true;
        end.notify();
      }(detach, over, detached));
    }
    std::exception_ptr stopped;
    try {
      co_await over.wait();
    } catch (...) {
      stopped = std::current_exception();  // Ctrl-C: the tasks below are ended first
    }
    scope.cancel();
    co_await base::asio::this_coro::reset_cancellation_state();
    co_await scope.join();
    if (stopped) std::rethrow_exception(stopped);
  }
  if (detached) {
    streams.console.err("\ndetached; the container goes on\n");
    co_return 0;
  }
  CO_TRY_DO(outcome);
  co_return session->exit_code();
}

Result<int> attend(Session& session, const Arguments& arguments, const char* verb) {
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  Console& console = session.console();
  const bool exec = std::string_view(verb) == "exec";
  const std::vector<std::string>& command = arguments.command_words();
  if (exec && command.empty()) {
    return std::unexpected(
        base::with_hint(base::make_error(base::Errc::InvalidArgument, "no command is given"),
                        fmt::format("hm exec {} -- COMMAND", arguments.word(0))));
  }
  TRY(const std::string pod, choose_pod(session, *api, name_space, arguments.word(0)));
  Streams streams{console, arguments.has("stdin"), false, false};
  bool terminal = arguments.has("tty");
  if (terminal && isatty(console.in()) == 0) {
    console.say(Outcome::Note, "standard input is no terminal: the command runs without one");
    terminal = false;
  }
  streams.terminal = terminal;
  streams.input = streams.input || terminal;
  streams.detachable = !exec && terminal;
  Query query;
  for (const std::string& word : command) query.emplace_back("command", word);
  query.emplace_back("container", arguments.text("container"));
  if (streams.input) query.emplace_back("stdin", "1");
  query.emplace_back("stdout", "1");
  if (!terminal) query.emplace_back("stderr", "1");
  if (terminal) query.emplace_back("tty", "1");
  if (streams.detachable) console.err("Ctrl-] detaches\n");
  console.flush();
  const KindInfo& kind = kind_named("Pod");
  std::string path = kind_path(kind, name_space, pod);
  // An empty word of a command is a word too, so the query is not built by api_path.
  std::string text;
  for (const auto& [key, value] : query) {
    if (value.empty() && key != "command") continue;
    const std::string encoded = value.empty() ? "" : api_path({value}).substr(1);
    text += fmt::format("{}{}={}", text.empty() ? "?" : "&", key, encoded);
  }
  path += fmt::format("/{}{}", verb, text);
  auto exit = session.loop().run(
      run_process(api->client(), session.loop().executor(), std::move(path), streams));
  if (!exit) return std::unexpected(api->refusal(std::move(exit).error()));
  return *exit;
}

Result<int> run_exec(Session& session, const Arguments& arguments) {
  return attend(session, arguments, "exec");
}
Result<int> run_attach(Session& session, const Arguments& arguments) {
  return attend(session, arguments, "attach");
}

constexpr Argument kArguments[] = {{"NAME", true, false, Completes::Workload}};
constexpr Flag kFlags[] = {
    {"stdin", 'i', "", "pass standard input on"},
    {"tty", 't', "", "give the process a terminal (with -i: this one)"},
    {"container", 'c', "NAME", "the container, when the pod has several"},
};
constexpr Example kExecExamples[] = {{"hm exec -it web -- sh", "a shell in a ready replica of web"},
                                     {"hm exec web-4-a1b2 -- cat /etc/hosts", ""}};
constexpr Example kAttachExamples[] = {
    {"hm attach web", "the output of the container's own process"}};

}  // namespace

constinit const Command kExec = {
    .path = "exec",
    .summary = "run a command in a container",
    .description =
        "NAME is a pod or a workload; of a workload a ready replica is taken, and named on "
        "standard error.\n"
        "The exit code is the command's own; 128 + N when signal N killed it.",
    .arguments = kArguments,
    .flags = kFlags,
    .examples = kExecExamples,
    .takes_command = true,
    .acts_at_once = true,
    .run = run_exec};

constinit const Command kAttach = {
    .path = "attach",
    .summary = "join the streams of a container's own process",
    .description = "With -it the keys go to the process; Ctrl-] detaches and leaves it running.",
    .arguments = kArguments,
    .flags = kFlags,
    .examples = kAttachExamples,
    .acts_at_once = true,
    .run = run_attach};

}  // namespace cli
