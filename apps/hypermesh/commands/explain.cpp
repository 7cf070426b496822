#include <fmt/format.h>

#include <algorithm>
#include <manifest/explain.hpp>
#include <manifest/schema.hpp>

#include "commands/all.hpp"
#include "commands/objects.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;
using nexus::manifest::Field;
using nexus::manifest::ObjectType;

Json field_json(const Field& field) {
  constexpr std::string_view kSupport[] = {"honoured", "no effect", "refused", "server"};
  Json out = {{"name", field.name},
              {"type", nexus::manifest::describe_type(field)},
              {"description", field.description},
              {"required", field.is_required},
              {"immutable", field.is_immutable},
              {"support", kSupport[static_cast<std::size_t>(field.support)]}};
  if (!field.fallback.empty()) out["default"] = Json::parse(field.fallback, nullptr, false);
  if (!field.values.empty()) out["values"] = field.values;
  if (!field.advice.empty()) out["advice"] = field.advice;
  return out;
}

Result<int> run(Session& session, const Arguments& arguments) {
  const std::string path = arguments.word(0);
  if (!session.format().for_programs()) {
    TRY(const std::string text, nexus::manifest::explain(path, arguments.has("recursive")));
    session.console().out(fit(session.console().out_look(), text));
    return 0;
  }
  const std::size_t dot = path.find('.');
  TRY(const KindInfo* kind, nexus::manifest::resolve_kind(std::string_view(path).substr(0, dot)));
  const ObjectType* type = &nexus::manifest::schema_of(*kind);
  const Field* field = nullptr;
  std::string walked(kind->singular);
  for (std::string_view rest = dot == std::string::npos ? std::string_view()
                                                        : std::string_view(path).substr(dot + 1);
       !rest.empty();) {
    const std::size_t end = std::min(rest.find('.'), rest.size());
    std::string_view name = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    name = name.substr(0, name.find('['));  // containers[0].image reads as containers.image
    const Field* next = type != nullptr ? type->find(name) : nullptr;
    if (next == nullptr) {
      auto error = nexus::manifest::explain(path, false);  // says which field and what was meant
      return error ? base::fail(Errc::NotFound, fmt::format("{} has no field \"{}\"", walked, name))
                   : std::unexpected(std::move(error).error());
    }
    field = next;
    type = field->object;
    walked += fmt::format(".{}", name);
  }
  Document document;
  Json::array_t fields;
  if (type != nullptr) {
    for (const Field& f : type->fields) fields.push_back(field_json(f));
  }
  document.value = {{"apiVersion", kApiVersion},
                    {"kind", "Explanation"},
                    {"path", walked},
                    {"fields", std::move(fields)}};
  if (field != nullptr) document.value["field"] = field_json(*field);
  document.names = {walked};
  return session.show(document);
}

constexpr Argument kArguments[] = {{"KIND[.FIELD...]", true, false, Completes::Field}};
constexpr Flag kFlags[] = {{"recursive", '\0', "", "every field below, names and types only"}};
constexpr Example kExamples[] = {{"hm explain deployment.spec.strategy", ""},
                                 {"hm explain pod.spec --recursive", ""}};

}  // namespace

constinit const Command kExplain = {
    .path = "explain",
    .summary = "the fields of a kind, from the built-in schema",
    .description =
        "Needs no node. Says of each field whether it is honoured, refused, or without effect.",
    .arguments = kArguments,
    .flags = kFlags,
    .examples = kExamples,
    .run = run};

}  // namespace cli
