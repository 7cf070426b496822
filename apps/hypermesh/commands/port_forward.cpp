#include <fmt/format.h>

#include <api_client/client.hpp>
#include <base/async/task_scope.hpp>
#include <base/http/socket.hpp>
#include <charconv>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "session/loop.hpp"

namespace cli {
namespace {

using base::ByteStream;
using base::Errc;
using base::Result;
using base::Task;

struct Forward {
  std::uint16_t local = 0, remote = 0;
};

Result<std::uint16_t> parse_port(std::string_view text, bool zero_allowed) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size() || (port == 0 && !zero_allowed)) {
    return base::fail(Errc::InvalidArgument,
                      fmt::format("\"{}\" is not a port", text.substr(0, 32)));
  }
  return port;
}

// "80", "8080:80", ":80" (any free port here)
Result<Forward> parse_forward(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    TRY(const std::uint16_t port, parse_port(text, false));
    return Forward{port, port};
  }
  Forward forward;
  if (colon > 0) {
    TRY(forward.local, parse_port(text.substr(0, colon), true));
  }
  TRY(forward.remote, parse_port(text.substr(colon + 1), false));
  return forward;
}

struct Forwarding {
  api_client::Client& client;
  Console& console;
  std::string name_space, pod;
  base::TaskScope& scope;
};

// Bytes from one side to the other until it ends.
Task<> pump(ByteStream& from, ByteStream& to) {
  for (;;) {
    auto bytes = co_await from.read();
    if (!bytes || bytes->empty()) break;
    if (auto sent = co_await to.write(*bytes); !sent) {
      from.close();
      co_return;
    }
  }
  to.close_write();
}

Task<> serve_connection(Forwarding& all, std::unique_ptr<ByteStream> here, std::uint16_t remote) {
  auto there = co_await all.client.open_port(all.name_space, all.pod, remote);
  if (!there) {
    all.console.say(Outcome::Failed, fmt::format("port {}: {}", remote, there.error().describe()));
    here->close();
    co_return;
  }
  base::TaskScope scope(all.scope.executor());
  scope.spawn(pump(*here, **there));
  scope.spawn(pump(**there, *here));
  try {
    co_await scope.join();
  } catch (...) {
    // Ctrl-C: both directions end below.
  }
  scope.cancel();
  co_await base::asio::this_coro::reset_cancellation_state();
  co_await scope.join();
}

Task<> accept_connections(Forwarding& all, base::http::Listener& listener, std::uint16_t remote) {
  for (;;) {
    auto accepted = co_await listener.accept();
    if (!accepted && accepted.error().code == Errc::Cancelled) co_return;
    if (!accepted) {
      // Out of file descriptors, most likely: it passes.
      co_await base::sleep_for(std::chrono::milliseconds(100));
      continue;
    }
    all.scope.spawn(serve_connection(all, std::move(accepted->stream), remote));
  }
}

Task<Result<int>> forward(api_client::Client& client, Console& console, base::Executor executor,
                          std::string name_space, std::string pod, std::string address,
                          std::vector<Forward> forwards) {
  std::vector<std::unique_ptr<base::http::Listener>> listeners;
  base::TaskScope scope(executor);
  Forwarding all{client, console, std::move(name_space), std::move(pod), scope};
  for (const Forward& one : forwards) {
    CO_TRY(auto listener, base::http::listen_tcp(executor, address, one.local, nullptr));
    // What tests and scripts read: the port that was chosen.
    console.out(fmt::format("{} → {}:{}\n", listener->address(), all.pod, one.remote));
    listeners.push_back(std::move(listener));
  }
  console.flush();
  for (std::size_t i = 0; i < forwards.size(); ++i)
    scope.spawn(accept_connections(all, *listeners[i], forwards[i].remote));
  try {
    co_await scope.join();
  } catch (...) {
    // Ctrl-C is how forwarding ends.
  }
  scope.cancel();
  co_await base::asio::this_coro::reset_cancellation_state();
  co_await scope.join();
  co_return 0;
}

Result<int> run(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  std::vector<Forward> forwards;
  for (std::size_t i = 1; i < arguments.words().size(); ++i) {
    TRY(const Forward one, parse_forward(arguments.word(i)));
    forwards.push_back(one);
  }
  TRY(const std::string pod, choose_pod(session, *api, name_space, arguments.word(0)));
  auto& loop = session.loop();
  auto done = loop.run(forward(api->client(), session.console(), loop.executor(), name_space, pod,
                               arguments.text("address", "127.0.0.1"), forwards));
  if (!done && done.error().code == Errc::Cancelled) return 130;
  return done;
}

constexpr Argument kArguments[] = {{"NAME", true, false, Completes::Workload},
                                   {"[HERE:]PORT", true, true}};
constexpr Flag kFlags[] = {
    {"address", '\0', "ADDRESS", "the address to listen on (default 127.0.0.1)"}};
constexpr Example kExamples[] = {
    {"hm port-forward web 8080:80", "http://127.0.0.1:8080 here is port 80 there"},
    {"hm port-forward db-0 5432", ""}};

}  // namespace

constinit const Command kPortForward = {
    .path = "port-forward",
    .summary = "reach a port of a pod from here",
    .description = "Until Ctrl-C. \":80\" listens on any free port, which is printed.",
    .arguments = kArguments,
    .flags = kFlags,
    .examples = kExamples,
    .run = run};

}  // namespace cli
