#include "manifest/explain.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <base/nearest.hpp>
#include <nlohmann/json.hpp>
#include <vector>

#include "manifest/kinds.hpp"
#include "manifest/schema.hpp"

namespace nexus::manifest {

namespace {

constexpr int kRecursionDepthMax = 12;

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> steps;
  while (true) {
    const std::size_t dot = path.find('.');
    std::string_view step = path.substr(0, dot);
    step = step.substr(0, step.find('['));
    steps.push_back(step);
    if (dot == std::string_view::npos) return steps;
    path.remove_prefix(dot + 1);
  }
}

/// Default, values, bounds and support in one line.
std::string traits(const Field& field) {
  std::vector<std::string> parts;
  if (field.is_required) parts.emplace_back("required");
  if (!field.fallback.empty() && field.fallback != "{}")
    parts.push_back(fmt::format("default {}", field.fallback));
  if (!field.values.empty()) {
    std::vector<std::string_view> named;
    std::ranges::copy_if(field.values, std::back_inserter(named),
                         [](std::string_view v) { return !v.empty(); });
    parts.push_back(fmt::format("one of {}", fmt::join(named, ", ")));
  }
  const bool has_low = field.min != std::numeric_limits<std::int64_t>::min();
  const bool has_high = field.max != std::numeric_limits<std::int64_t>::max();
  if (has_high) {
    parts.push_back(fmt::format("{} to {}", field.min, field.max));
  } else if (has_low) {
    parts.push_back(fmt::format("at least {}", field.min));
  }
  if (field.format != Format::None) parts.emplace_back(describe_format(field.format));
  if (field.key_format != Format::None)
    parts.push_back(fmt::format("keys: {}", describe_format(field.key_format)));
  if (!field.merge_key.empty()) parts.push_back(fmt::format("merged by {}", field.merge_key));
  if (field.is_immutable) parts.emplace_back("must not change");
  if (field.support == Support::Server) parts.emplace_back("set by the server");
  if (field.support == Support::NoEffect)
    parts.push_back(fmt::format("has no effect: {}", field.advice));
  if (field.support == Support::Refused)
    parts.push_back(fmt::format("not supported: {}", field.advice));
  for (std::string_view value : field.unserved)
    parts.push_back(fmt::format("{} is not supported: {}", value, field.advice));
  return fmt::format("{}", fmt::join(parts, "; "));
}

void list_fields(const ObjectType& type, std::string& out) {
  for (const Field& field : type.fields) {
    out += fmt::format("  {} <{}>\n    {}\n", field.name, describe_type(field), field.description);
    if (const std::string more = traits(field); !more.empty()) out += fmt::format("    {}\n", more);
  }
}

void list_names(const ObjectType& type, int depth, std::string& out) {
  for (const Field& field : type.fields) {
    if (field.support == Support::Refused) continue;
    out += fmt::format("{:{}}{} <{}>\n", "", 2 * depth, field.name, describe_type(field));
    if (field.object && depth < kRecursionDepthMax) list_names(*field.object, depth + 1, out);
  }
}

/// The field that the steps lead to; null for the kind itself.
struct Found {
  const KindInfo* kind = nullptr;
  const Field* field = nullptr;
  const ObjectType* type = nullptr;  ///< What fields may follow; null when none.
};

base::Result<Found> follow(const std::vector<std::string_view>& steps) {
  TRY(const KindInfo* kind, resolve_kind(steps[0]));
  Found found{kind, nullptr, &schema_of(*kind)};
  std::string so_far(kind->singular);
  for (std::size_t i = 1; i < steps.size(); ++i) {
    const Field* field = found.type ? found.type->find(steps[i]) : nullptr;
    if (!field) {
      base::Error error =
          base::make_error(base::Errc::NotFound,
                           fmt::format("{} has no field \"{}\"", so_far, steps[i].substr(0, 80)));
      std::vector<std::string> names;
      if (found.type) {
        for (const Field& one : found.type->fields) names.emplace_back(one.name);
      }
      if (auto near = base::nearest(steps[i].substr(0, 80), names)) {
        return std::unexpected(
            base::with_hint(std::move(error), fmt::format("did you mean {}.{}?", so_far, *near)));
      }
      return std::unexpected(
          base::with_hint(std::move(error), fmt::format("hm explain {}", so_far)));
    }
    so_far += fmt::format(".{}", steps[i]);
    found.field = field;
    found.type = field->object;
  }
  return found;
}

}  // namespace

base::Result<std::string> explain(std::string_view path, bool recursive) {
  const auto steps = split(path);
  TRY(const Found found, follow(steps));
  std::string out =
      fmt::format("KIND:     {}\nVERSION:  {}\n", found.kind->kind, found.kind->api_version());
  if (found.field) {
    out += fmt::format("FIELD:    {} <{}>\n", found.field->name, describe_type(*found.field));
  }
  out += "\nDESCRIPTION:\n";
  if (found.field) {
    out += fmt::format("  {}\n", found.field->description);
    if (const std::string more = traits(*found.field); !more.empty())
      out += fmt::format("  {}\n", more);
  }
  if (!found.type) return out;
  if (!found.field || found.type->description != found.field->description) {
    out += fmt::format("  {}\n", found.type->description);
  }
  out += "\nFIELDS:\n";
  if (recursive) {
    list_names(*found.type, 1, out);
  } else {
    list_fields(*found.type, out);
  }
  return out;
}

std::vector<PathCompletion> complete_path(std::string_view beginning) {
  std::vector<PathCompletion> all;
  const std::size_t dot = beginning.rfind('.');
  if (dot == std::string_view::npos) {
    for (const KindInfo& kind : served_kinds()) {
      if (!kind.singular.starts_with(beginning)) continue;
      all.push_back({std::string(kind.singular) + ".", std::string(schema_of(kind).description)});
    }
    return all;
  }
  const auto found = follow(split(beginning.substr(0, dot)));
  if (!found || !found->type) return all;
  const std::string_view last = beginning.substr(dot + 1);
  for (const Field& field : found->type->fields) {
    if (!field.name.starts_with(last) || field.support == Support::Refused) continue;
    all.push_back(
        {fmt::format("{}.{}{}", beginning.substr(0, dot), field.name, field.object ? "." : ""),
         std::string(field.description)});
  }
  return all;
}

}  // namespace nexus::manifest
