#include "commands/manifests.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "session/files.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;
using nexus::manifest::ParsedFile;
using nexus::manifest::ParseOptions;
using nexus::manifest::Problem;

constexpr std::size_t kFilesMax = 1000;

// Every mistake: the first as the message, or their number with each as a reason.
base::Error refusal_of(const std::vector<Problem>& problems) {
  base::Error error = base::make_error(
      Errc::InvalidArgument, problems.size() == 1
                                 ? problems.front().headline()
                                 : fmt::format("{} mistakes in the manifest", problems.size()));
  std::shared_ptr<const base::Error> chain;
  if (problems.size() > 1) {
    for (std::size_t i = std::min(problems.size(), nexus::manifest::kProblemsShownMax); i-- > 0;) {
      base::Error link = base::make_error(Errc::InvalidArgument, problems[i].headline());
      link.cause = chain;
      chain = std::make_shared<const base::Error>(std::move(link));
    }
  }
  error.cause = chain;
  for (const Problem& problem : problems) {
    for (const std::string& hint : problem.hints) {
      constexpr std::size_t kHintsMax = 5;
      if (error.hints.size() < kHintsMax &&
          std::ranges::find(error.hints, hint) == error.hints.end())
        error.hints.push_back(hint);
    }
  }
  return error;
}

Result<Manifests> finish(Session& session, ParsedFile parsed, const std::string& from) {
  if (!parsed.accepted()) return std::unexpected(refusal_of(parsed.problems));
  for (const Problem& note : parsed.notes) session.console().say(Outcome::Note, note.headline());
  Manifests out;
  out.objects = std::move(parsed.objects);
  if (out.objects.empty())
    return base::fail(Errc::InvalidArgument, fmt::format("{} has no objects", from));
  std::ranges::stable_sort(out.objects, {}, [](const auto& object) {
    return nexus::manifest::apply_rank(*object.kind);
  });
  out.note = fmt::format("from {}: Kubernetes, {} object{}", from, out.objects.size(),
                         out.objects.size() == 1 ? "" : "s");
  return out;
}

Result<std::vector<std::string>> files_of(const std::string& name) {
  std::error_code error;
  if (!std::filesystem::is_directory(name, error)) return std::vector<std::string>{name};
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(name, error)) {
    const std::string ending = entry.path().extension();
    if (entry.is_regular_file(error) &&
        (ending == ".yaml" || ending == ".yml" || ending == ".json"))
      files.push_back(entry.path());
    if (files.size() > kFilesMax)
      return base::fail(Errc::InvalidArgument,
                        fmt::format("{} has more than {} manifests", name, kFilesMax));
  }
  if (error) return base::fail_errno(error.value(), fmt::format("cannot read {}", name));
  if (files.empty())
    return base::fail(Errc::NotFound,
                      fmt::format("folder {} has no .yaml, .yml or .json file", name));
  std::ranges::sort(files);
  return files;
}

}  // namespace

Result<Manifests> load_manifests(Session& session, const std::vector<std::string>& names,
                                 const std::string& name_space, bool unknown_fields_pass) {
  ParseOptions options;
  options.default_namespace = name_space;
  if (unknown_fields_pass)
    options.unknown_fields = nexus::manifest::AdmitOptions::UnknownFields::Drop;
  std::vector<ParsedFile> parsed;
  std::string from;
  for (const std::string& name : names) {
    from += (from.empty() ? "" : ", ") + (name == "-"
                                              ? std::string("standard input")
                                              : std::filesystem::path(name).filename().string());
    if (name.find("://") != std::string::npos) {
      return std::unexpected(base::with_hint(
          base::make_error(
              Errc::InvalidArgument,
              fmt::format("{} is not fetched: what runs here should be looked at first", name)),
          fmt::format("curl -fsSLO {}  and then  hm deploy -f {}", name,
                      std::filesystem::path(name).filename().string())));
    }
    TRY(const auto files, name == "-" ? Result<std::vector<std::string>>({"-"}) : files_of(name));
    for (const std::string& file : files) {
      TRY(const std::string text, file == "-"
                                      ? read_descriptor(session.console().in(), "standard input",
                                                        options.limits.text_bytes_max)
                                      : read_file(file, options.limits.text_bytes_max));
      parsed.push_back(nexus::manifest::parse_file(text, file == "-" ? "<stdin>" : file, options));
    }
  }
  TRY(Manifests out, finish(session, nexus::manifest::join_files(std::move(parsed)), from));
  out.unknown_fields_pass = unknown_fields_pass;
  return out;
}

Result<Manifests> read_manifests(Session& session, std::string_view text, std::string_view name,
                                 const std::string& name_space) {
  ParseOptions options;
  options.default_namespace = name_space;
  return finish(session, nexus::manifest::parse_file(text, name, options), std::string(name));
}

}  // namespace cli
