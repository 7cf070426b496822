#include "runtime/core/container_image.hpp"

#include <fmt/format.h>

#include <charconv>
#include <csignal>
#include <map>

namespace hypermesh::keeper {
namespace {

constexpr std::pair<std::string_view, int> kSignals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},   {"QUIT", SIGQUIT},   {"ABRT", SIGABRT}, {"KILL", SIGKILL},
    {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"PIPE", SIGPIPE},   {"ALRM", SIGALRM}, {"TERM", SIGTERM},
    {"CHLD", SIGCHLD}, {"CONT", SIGCONT}, {"STOP", SIGSTOP},   {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},
    {"TTOU", SIGTTOU}, {"URG", SIGURG},   {"WINCH", SIGWINCH}, {"PWR", SIGPWR},   {"SYS", SIGSYS},
};
constexpr std::int32_t kRealtimeFirst = 34, kRealtimeLast = 64;

}  // namespace

base::Result<std::int32_t> signal_number(std::string_view text) {
  std::int32_t number = 0;
  const auto parse = [&](std::string_view digits) {
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return !digits.empty() && error == std::errc{} && end == digits.data() + digits.size();
  };
  if (parse(text) && number >= 1 && number <= kRealtimeLast) return number;
  std::string_view name = text;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  for (const auto& [known, value] : kSignals) {
    if (name == known) return value;
  }
  if (name.starts_with("RTMIN") &&
      (name.size() == 5 || (name[5] == '+' && parse(name.substr(6))))) {
    const std::int32_t offset = name.size() == 5 ? 0 : number;
    if (kRealtimeFirst + offset <= kRealtimeLast) return kRealtimeFirst + offset;
  }
  return base::fail(
      base::Errc::InvalidArgument,
      fmt::format("\"{:.32}\" is no signal; must be a name like SIGTERM or a number from 1 to 64",
                  text));
}

base::Result<ContainerImage> combine(const nexus::ContainerSpec& spec, const ImageConfig& image) {
  ContainerImage combined;
  if (!spec.command.empty()) {
    combined.args = spec.command;
    combined.args.insert(combined.args.end(), spec.args.begin(), spec.args.end());
  } else {
    combined.args = image.entrypoint;
    const auto& rest = spec.args.empty() ? image.command : spec.args;
    combined.args.insert(combined.args.end(), rest.begin(), rest.end());
  }
  if (combined.args.empty()) {
    return std::unexpected(base::with_hint(
        base::make_error(
            base::Errc::InvalidArgument,
            fmt::format(
                "container {} has no command: neither the image nor the container names one",
                spec.id.name)),
        "set the container's command"));
  }
  // A later value of a name replaces an earlier one, in its place.
  std::map<std::string, std::size_t> places;
  const auto set = [&](const std::string& name, std::string variable) {
    const auto [place, is_new] = places.try_emplace(name, combined.env.size());
    if (is_new) {
      combined.env.push_back(std::move(variable));
    } else {
      combined.env[place->second] = std::move(variable);
    }
  };
  for (const auto& variable : image.env) set(variable.substr(0, variable.find('=')), variable);
  for (const auto& [name, value] : spec.env) set(name, fmt::format("{}={}", name, value));
  combined.working_directory =
      spec.working_directory.empty() ? image.working_directory : spec.working_directory;
  combined.user = image.user;
  if (!image.stop_signal.empty()) {
    TRY(combined.stop_signal, signal_number(image.stop_signal));
  }
  return combined;
}

}  // namespace hypermesh::keeper
