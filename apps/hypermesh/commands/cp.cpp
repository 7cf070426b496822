#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "output/units.hpp"
#include "session/tar.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;

// "POD:PATH"; a local path has no colon before its first slash.
struct Remote {
  std::string pod, path;
};
std::optional<Remote> parse_remote(const std::string& word) {
  const std::size_t colon = word.find(':');
  if (colon == std::string::npos || colon == 0 || word[0] == '.' || word[0] == '/')
    return std::nullopt;
  // "deployment/web:/x": the slash of KIND/NAME is the only one that may stand before.
  if (std::ranges::count(word.substr(0, colon), '/') > 1) return std::nullopt;
  return Remote{word.substr(0, colon), word.substr(colon + 1)};
}

std::string files_path(const std::string& name_space, const std::string& pod,
                       const std::string& path, const std::string& container) {
  return own_path({"pods", name_space, pod, "files"}, {{"path", path}, {"container", container}});
}

Result<bool> remote_is_folder(Api& api, const std::string& name_space, const std::string& pod,
                              const std::string& path, const std::string& container) {
  const auto answer =
      api.get(own_path({"pods", name_space, pod, "files"},
                       {{"path", path}, {"container", container}, {"kindOnly", "true"}}));
  if (!answer && answer.error().code == Errc::NotFound) return false;
  if (!answer) return std::unexpected(answer.error());
  const auto folder = answer->find("folder");
  if (folder == answer->end() || !folder->is_boolean())
    return base::fail(Errc::DataLoss, fmt::format("the node does not tell what {} is", path));
  return folder->get<bool>();
}

Result<int> fetch(Session& session, Api& api, const std::string& name_space, const Remote& from,
                  const std::string& to, const std::string& container) {
  if (from.path.empty())
    return base::fail(Errc::InvalidArgument,
                      fmt::format("\"{}:\" names no file; want POD:/PATH", from.pod));
  TRY(const std::string pod, choose_pod(session, api, name_space, from.pod));
  std::error_code ignored;
  std::filesystem::path folder = to, name = std::filesystem::path(from.path).lexically_normal();
  if (name.filename().empty()) name = name.parent_path();  // "/etc/"
  name = name.filename().empty() ? std::filesystem::path("root") : name.filename();
  if (!std::filesystem::is_directory(to, ignored)) {
    if (to.ends_with('/'))
      return base::fail(Errc::NotFound, fmt::format("folder {} does not exist", to));
    name = std::filesystem::path(to).filename();
    folder = std::filesystem::path(to).parent_path();
    if (folder.empty()) folder = ".";
    if (!std::filesystem::is_directory(folder, ignored))
      return base::fail(Errc::NotFound, fmt::format("folder {} does not exist", folder.string()));
  }
  TarUnpacker unpacker(std::filesystem::absolute(folder), name);
  std::uint64_t received = 0;
  auto done = api.download(files_path(name_space, pod, from.path, container),
                           [&](std::string_view bytes) -> Result<> {
                             received += bytes.size();
                             session.console().board().update(from.path, show_bytes(received));
                             return unpacker.write(bytes);
                           });
  const auto unpacked = unpacker.finish();
  session.console().board().remove(from.path);
  TRY_DO(done);
  TRY_DO(unpacked);
  session.console().say(Outcome::Done,
                        fmt::format("{}:{} → {}   {} file{}", pod, from.path,
                                    (folder / name).lexically_normal().string(), unpacked->entries,
                                    unpacked->entries == 1 ? "" : "s"));
  if (unpacked->left_out > 0) {
    session.console().say(
        Outcome::Note,
        fmt::format("{} left out: links that lead elsewhere, devices, pipes, sockets",
                    unpacked->left_out));
  }
  return 0;
}

Result<int> bring(Session& session, Api& api, const std::string& name_space,
                  const std::string& from, const Remote& to, const std::string& container) {
  struct stat info{};
  std::string source = from;
  while (source.size() > 1 && source.ends_with('/')) source.pop_back();
  if (lstat(source.c_str(), &info) != 0)
    return base::fail_errno(errno, fmt::format("cannot read {}", from));
  TRY(const std::string pod, choose_pod(session, api, name_space, to.pod));
  std::filesystem::path path = to.path.empty() ? "." : to.path;
  std::filesystem::path base_name = std::filesystem::absolute(source).lexically_normal().filename();
  std::filesystem::path folder = path;
  bool into = to.path.empty() || to.path.ends_with('/');
  if (!into) {
    TRY(into, remote_is_folder(api, name_space, pod, to.path, container));
  }
  if (!into) {
    base_name = path.filename();
    folder = path.parent_path().empty() ? "." : path.parent_path();
  }
  TarPacker packer(source, base_name);
  std::uint64_t sent = 0;
  const auto next = [&]() -> Result<std::string> {
    TRY(std::string piece, packer.next());
    sent += piece.size();
    session.console().board().update(from, show_bytes(sent));
    return piece;
  };
  const auto answer =
      api.upload("PUT", files_path(name_space, pod, folder, container), "application/x-tar", next);
  session.console().board().remove(from);
  if (!answer) return std::unexpected(answer.error());
  session.console().say(Outcome::Done, fmt::format("{} → {}:{}   {}", from, pod,
                                                   (folder / base_name).lexically_normal().string(),
                                                   show_bytes(sent)));
  session.show_receipt(answer->receipt);
  return 0;
}

Result<int> run(Session& session, const Arguments& arguments) {
  const auto from = parse_remote(arguments.word(0)), to = parse_remote(arguments.word(1));
  if (from.has_value() == to.has_value()) {
    return std::unexpected(base::with_hint(
        base::make_error(Errc::InvalidArgument,
                         "one of FROM and TO is POD:PATH, the other one is a path here"),
        "hm cp web:/etc/app.conf ."));
  }
  TRY(Api * api, session.api());
  TRY(const std::string name_space, session.name_space());
  const std::string container = arguments.text("container");
  return from ? fetch(session, *api, name_space, *from, arguments.word(1), container)
              : bring(session, *api, name_space, arguments.word(0), *to, container);
}

constexpr Argument kArguments[] = {{"FROM", true, false, Completes::File},
                                   {"TO", true, false, Completes::File}};
constexpr Flag kFlags[] = {{"container", 'c', "NAME", "the container, when the pod has several"}};
constexpr Example kExamples[] = {{"hm cp web:/etc/app.conf .", ""},
                                 {"hm cp ./site web:/www/", "into the folder"}};

}  // namespace

constinit const Command kCp = {
    .path = "cp",
    .summary = "copy files and folders into or out of a container",
    .description =
        "The container needs no tar. Owners are not kept; set-id bits and devices are not copied.",
    .arguments = kArguments,
    .flags = kFlags,
    .examples = kExamples,
    .acts_at_once = true,
    .run = run};

}  // namespace cli
