#include "manifest/problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace nexus::manifest {

namespace {

bool is_plain_key(std::string_view key) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '$';
  };
  return !key.empty() && std::ranges::all_of(key, plain);
}

constexpr std::size_t kKeyShownMax = 120;

}  // namespace

FieldPath FieldPath::key(std::string_view name) const {
  FieldPath longer = *this;
  longer.push_key(name);
  return longer;
}

FieldPath FieldPath::index(std::size_t position) const {
  FieldPath longer = *this;
  longer.push_index(position);
  return longer;
}

std::string FieldPath::text() const {
  std::string out;
  for (const Step& step : steps_) {
    if (step.is_index) {
      out += fmt::format("[{}]", step.index);
    } else if (is_plain_key(step.key)) {
      if (!out.empty()) out += '.';
      out += step.key.substr(0, kKeyShownMax);
    } else {
      out += fmt::format("[{}]", step.key.substr(0, kKeyShownMax));
    }
  }
  return out;
}

std::string_view cause_name(Reason reason) {
  switch (reason) {
    case Reason::Syntax:
      return "FieldValueInvalid";
    case Reason::Required:
      return "FieldValueRequired";
    case Reason::Duplicate:
      return "FieldValueDuplicate";
    case Reason::Invalid:
      return "FieldValueInvalid";
    case Reason::TypeInvalid:
      return "FieldValueTypeInvalid";
    case Reason::NotInEnum:
      return "FieldValueNotSupported";
    case Reason::Forbidden:
      return "FieldValueForbidden";
    case Reason::TooLong:
      return "FieldValueTooLong";
    case Reason::TooMany:
      return "FieldValueTooMany";
    case Reason::NotFound:
      return "FieldValueNotFound";
    case Reason::UnknownField:
      return "FieldValueInvalid";
    case Reason::Unsupported:
      return "FieldValueNotSupported";
    case Reason::Note:
      return "Note";
  }
  return "FieldValueInvalid";
}

std::string Problem::headline() const {
  std::string out;
  if (!file.empty()) {
    out = position.line == 0 ? fmt::format("{}: ", file)
                             : fmt::format("{}:{}: ", file, position.line);
  }
  if (!field.empty()) out += field + " ";
  return out + message;
}

void sort_by_position(std::vector<Problem>& problems) {
  // What has no place of its own comes last.
  const auto order = [](const Problem& problem) {
    Position at = problem.position;
    if (at.line == 0) at.line = std::numeric_limits<std::uint32_t>::max();
    return at;
  };
  std::ranges::stable_sort(problems, {}, order);
}

std::string describe(std::span<const Problem> problems) {
  std::string out;
  for (const Problem& problem : problems.first(std::min(problems.size(), kProblemsShownMax))) {
    if (!out.empty()) out += '\n';
    out += problem.headline();
    for (const std::string& hint : problem.hints) out += "\n  hint: " + hint;
  }
  if (problems.size() > kProblemsShownMax) {
    out += fmt::format("\nand {} more", problems.size() - kProblemsShownMax);
  }
  return out;
}

base::Error to_error(std::span<const Problem> problems) {
  BASE_ASSERT(!problems.empty(), "an error needs a problem");
  const bool all_unsupported = std::ranges::all_of(
      problems, [](const Problem& problem) { return problem.reason == Reason::Unsupported; });
  const auto code = all_unsupported ? base::Errc::Unsupported : base::Errc::InvalidArgument;
  base::Error error = base::make_error(code, problems[0].headline());
  error.hints = problems[0].hints;
  if (problems.size() == 1) return error;
  error.message = fmt::format("{} problems: {}", problems.size(), problems[0].headline());
  for (const Problem& problem :
       problems.subspan(1, std::min(problems.size(), kProblemsShownMax) - 1)) {
    error.hints.push_back("also: " + problem.headline());
  }
  return error;
}

}  // namespace nexus::manifest
