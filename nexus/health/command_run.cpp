#include "health/command_run.hpp"

#include <fmt/format.h>

namespace nexus {

namespace {

/// Of a command's output, for the message about its failure.
constexpr std::size_t kOutputBytesMax = 200;

/// One line that is safe to print: whatever the program wrote.
std::string printable(std::string_view output) {
  while (!output.empty() && (output.back() == '\n' || output.back() == '\r'))
    output.remove_suffix(1);
  std::string line;
  for (const char c : output) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte == '\n' || byte == '\t' ? ' ' : byte < 0x20 || byte >= 0x7f ? '?' : c;
  }
  return line;
}

}  // namespace

base::Task<base::Result<>> run_command(WorkloadDriver& driver, ContainerId container,
                                       std::vector<std::string> command) {
  CO_TRY(auto session,
         co_await driver.exec({.container = std::move(container), .command = std::move(command)}));
  std::string output;
  for (;;) {
    CO_TRY(const auto chunk, co_await session->read_output());
    if (!chunk) break;
    output += base::as_text(chunk->data).substr(0, kOutputBytesMax - output.size());
  }
  CO_TRY(const int code, co_await session->wait());
  if (code == 0) co_return base::Result<>();
  std::string message = fmt::format("exit code {}", code);
  if (const std::string line = printable(output); !line.empty()) message += ": " + line;
  co_return base::fail(base::Errc::FailedPrecondition, std::move(message));
}

}  // namespace nexus
