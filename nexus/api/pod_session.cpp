// exec and attach: a process's streams over the channels of a WebSocket.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "api/channels.hpp"
#include "api/duplex.hpp"
#include "api/handlers.hpp"
#include "api/options.hpp"
#include "api/write_rules.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

using base::http::WebSocket;

constexpr std::uint16_t kNormalClosure = 1000;

/// What is shown of a command in the audit log.
constexpr std::size_t kCommandShownBytesMax = 300;

Reply<std::string> check_upgrade(const Exchange& exchange) {
  if (!exchange.head.web_socket) {
    return bad_request("this is served over a WebSocket (RFC 6455)",
                       "kubectl 1.31 or newer asks for one; hm does");
  }
  const std::string_view protocol =
      choose_channel_protocol(exchange.head.headers.get("Sec-WebSocket-Protocol").value_or(""));
  if (protocol.empty())
    return bad_request(fmt::format("Sec-WebSocket-Protocol: there are {} and {}",
                                   kChannelProtocolV5, kChannelProtocolV4));
  return std::string(protocol);
}

std::string outcome_of(const base::Result<int>& code, const std::string& trace_id) {
  if (code) return encode_outcome(*code);
  return to_text(to_status(Refusal(code.error()), trace_id));
}

// Output to the client, then how it ended.
base::Task<> send_output(ProcessSession& session, WebSocket& socket, const ExecOptions& options,
                         const std::string& trace_id) {
  base::Result<int> code = 0;
  for (;;) {
    auto chunk = co_await session.read_output();
    if (!chunk) {
      code = std::unexpected(std::move(chunk).error());
      break;
    }
    if (!*chunk) {
      code = co_await session.wait();
      break;
    }
    if ((*chunk)->is_stderr ? !options.error_output : !options.output) continue;
    base::BytesView rest = (*chunk)->data;
    while (!rest.empty()) {
      const auto piece = rest.first(std::min(rest.size(), kChannelDataBytesMax));
      const Channel channel = (*chunk)->is_stderr ? Channel::ErrorOutput : Channel::Output;
      if (!co_await socket.write(encode_channel_data(channel, piece))) co_return;
      rest = rest.subspan(piece.size());
    }
  }
  const std::string outcome = outcome_of(code, trace_id);
  if (!co_await socket.write(encode_channel_data(Channel::Outcome, base::as_bytes(outcome))))
    co_return;
  co_await socket.close(kNormalClosure, "");
}

// Input from the client. False when the client is gone.
base::Task<bool> take_input(ProcessSession& session, WebSocket& socket,
                            const ExecOptions& options) {
  bool open = options.input;
  for (;;) {
    const auto message = co_await socket.read();
    if (!message || !*message) co_return false;
    const auto decoded = decode_channel_message(**message);
    if (!decoded) co_return false;  // A client that does not keep to the protocol is let go.
    if (const auto* data = std::get_if<ChannelData>(&*decoded);
        data != nullptr && data->channel == Channel::Input && open) {
      // A process that closed its input goes on; what comes for it is dropped.
      open = (co_await session.write_input(data->data)).has_value();
    } else if (const auto* end = std::get_if<ChannelEnd>(&*decoded);
               end != nullptr && end->channel == Channel::Input) {
      if (std::exchange(open, false)) (void)co_await session.close_input();
    } else if (const auto* size = std::get_if<ChannelResize>(&*decoded);
               size != nullptr && options.terminal) {
      (void)co_await session.resize(size->rows, size->columns);
    }
  }
}

base::Task<Reply<>> serve_session(Exchange& exchange, std::unique_ptr<ProcessSession> session,
                                  std::string protocol, const ExecOptions& options,
                                  std::string receipt) {
  base::http::Headers headers{{"X-Trace-Id", exchange.trace_id},
                              {"HyperMesh-Receipt", std::move(receipt)}};
  CO_TRY(const auto socket, co_await exchange.connection.upgrade(exchange.head, std::move(protocol),
                                                                 std::move(headers), {}));
  co_await run_duplex(send_output(*session, *socket, options, exchange.trace_id),
                      take_input(*session, *socket, options));
  co_return Reply<>{};
}

}  // namespace

base::Task<Reply<>> run_exec(Exchange& exchange) {
  CO_TRY(const ExecOptions options, parse_exec_options(exchange.query()));
  if (options.command.empty())
    co_return bad_request("no command: ?command=sh&command=-c&command=...");
  CO_TRY(const PodContainer container, find_container(exchange, options.container));
  CO_TRY_DO(check_entry(container.pod->json, exchange.principal.role));
  CO_TRY(std::string protocol, check_upgrade(exchange));
  CO_TRY(const Seats::Seat seat, exchange.shared.sessions.take());
  const std::string shown =
      fmt::format("{}: {}", container.id.name, fmt::join(options.command, " "));
  ExecSpec spec;
  spec.container = container.id;
  spec.command = options.command;
  spec.terminal = options.terminal;
  spec.stdin_open = options.input;
  // The record tells whether the command was started; one that cannot be recorded is ended again.
  auto session = co_await exchange.backend().driver.exec(std::move(spec));
  CO_TRY(std::string receipt,
         co_await exchange.record("exec", "pod/" + exchange.route.name,
                                  shown.substr(0, kCommandShownBytesMax), audit_result(session)));
  if (!session) co_return std::unexpected(Refusal(std::move(session).error()));
  co_return co_await serve_session(exchange, *std::move(session), std::move(protocol), options,
                                   std::move(receipt));
}

base::Task<Reply<>> run_attach(Exchange& exchange) {
  CO_TRY(ExecOptions options, parse_exec_options(exchange.query()));
  CO_TRY(const PodContainer container, find_container(exchange, options.container));
  CO_TRY_DO(check_entry(container.pod->json, exchange.principal.role));
  if (options.input && !container.stdin_open) {
    co_return bad_request(fmt::format("container {} has no open standard input", container.id.name),
                          "set stdin: true on the container");
  }
  CO_TRY(std::string protocol, check_upgrade(exchange));
  CO_TRY(const Seats::Seat seat, exchange.shared.sessions.take());
  options.terminal = container.terminal;
  auto session = co_await exchange.backend().driver.attach(container.id);
  CO_TRY(std::string receipt, co_await exchange.record("attach", "pod/" + exchange.route.name,
                                                       container.id.name, audit_result(session)));
  if (!session) co_return std::unexpected(Refusal(std::move(session).error()));
  co_return co_await serve_session(exchange, *std::move(session), std::move(protocol), options,
                                   std::move(receipt));
}

}  // namespace nexus::api
