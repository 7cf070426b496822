#include "output/failure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/error_mapping.hpp>

namespace cli {
namespace {

bool is_command(std::string_view hint) {
  return hint.starts_with("hm ") || hint.starts_with("sudo hm ");
}
// Commands that explain rather than mend: "where to look".
bool explains(std::string_view hint) {
  return hint.starts_with("hm help ") || hint.starts_with("hm why ") ||
         hint.starts_with("hm doctor");
}

}  // namespace

Failure make_failure(const base::Error& error, std::string trace_id) {
  Failure failure{error.code,  base::exit_code(error.code), error.message, {},
                  error.hints, std::move(trace_id)};
  for (const base::Error* cause = error.cause.get(); cause != nullptr; cause = cause->cause.get()) {
    if (!cause->message.empty()) failure.reasons.push_back(cause->message);
  }
  return failure;
}

std::string render_failure(const Failure& failure, const Look& look) {
  constexpr std::size_t kExitColumn = 94;
  const std::string message = fit(look, printable(failure.message));
  const std::string exit = fmt::format("(exit {})", failure.exit);
  std::string out = paint(look, Tone::Bad, "error:") + " " + message;
  const std::size_t width = std::string_view("error: ").size() + display_width(message);
  const std::size_t gap = width + 3 < kExitColumn ? kExitColumn - width : 3;
  out.append(gap, ' ');
  out += paint(look, Tone::Dim, exit) + "\n";
  for (const std::string& reason : failure.reasons)
    out += "  " + fit(look, printable(reason)) + "\n";

  std::string last, more;
  for (const std::string& hint : failure.hints) {
    const std::string text = fit(look, printable(hint));
    if (!is_command(hint)) {
      out += "  hint: " + text + "\n";
    } else if (explains(hint)) {
      more += (more.empty() ? "more   " : "   ") + text;
    } else {
      last += (last.empty() ? "try   " : "   or   ") + text;
    }
  }
  const auto append = [&last](const std::string& text) {
    if (text.empty()) return;
    if (!last.empty()) last += "   ";
    last += text;
  };
  append(more);
  if (!failure.trace_id.empty()) append("trace " + printable(failure.trace_id));
  if (!last.empty()) out += last + "\n";
  return out;
}

Json failure_json(const Failure& failure) {
  return Json{{"error",
               {{"code", base::status_reason(failure.code)},
                {"exit", failure.exit},
                {"message", failure.message},
                {"reasons", failure.reasons},
                {"hints", failure.hints},
                {"traceId", failure.trace_id}}}};
}

}  // namespace cli
