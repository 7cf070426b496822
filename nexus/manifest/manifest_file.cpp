#include "manifest/manifest_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "manifest/view.hpp"

namespace nexus::manifest {

namespace {

struct Part {
  Json value;
  PositionTree positions;
};

bool is_list(const Json& value) {
  const View root(&value, {});
  const std::string_view kind = root["kind"].text();
  return kind.ends_with("List") && root["items"].present() && root["items"].json().is_array();
}

/// The elements of a List, and of Lists in it, in order. Depth is bounded by that of the text.
void flatten(Part part, std::vector<Part>& out) {
  if (!is_list(part.value)) {
    out.push_back(std::move(part));
    return;
  }
  const auto items = std::ranges::find(part.positions.members, "items", &PositionTree::name);
  // A list of one kind may leave the kind of its elements out.
  const std::string version = std::string(View(&part.value, {})["apiVersion"].text());
  std::string kind = part.value["kind"].get<std::string>();
  kind.erase(kind.size() - std::string_view("List").size());
  for (std::size_t i = 0; i < part.value["items"].size(); ++i) {
    Json& item = part.value["items"][i];
    if (!kind.empty() && item.is_object()) {
      if (!item.contains("kind")) item["kind"] = kind;
      if (!item.contains("apiVersion")) item["apiVersion"] = version;
    }
    PositionTree place;
    if (items != part.positions.members.end() && i < items->items.size())
      place = std::move(items->items[i]);
    flatten({std::move(item), std::move(place)}, out);
  }
}

/// What people hand over in place of a manifest. Empty: it may be one.
std::pair<std::string, std::string> foreign_format(const Json& value) {
  if (!value.is_object() || (value.contains("apiVersion") && value.contains("kind"))) return {};
  if (value.contains("services") && value["services"].is_object()) {
    return {"is a Compose file, which this version does not read",
            "write it as Kubernetes objects: a Deployment and a Service for each service"};
  }
  const bool kustomize =
      value.contains("resources") && value["resources"].is_array() && !value.contains("metadata");
  if (kustomize)
    return {"is a kustomization", "render it first: kustomize build . | hm deploy -f -"};
  return {};
}

std::string identity(const FileObject& object) {
  return fmt::format("{}/{}/{}", object.kind->group_resource(), object.name_space(), object.name());
}

Problem repeated(const FileObject& first, const FileObject& second) {
  Problem problem{.reason = Reason::Duplicate};
  problem.file = second.file;
  problem.position = second.positions.value;
  problem.message = fmt::format("{}/{} appears twice; first in {}:{}", second.kind->singular,
                                second.name(), first.file, first.positions.value.line);
  return problem;
}

void refuse_repeated(ParsedFile& parsed) {
  std::map<std::string, const FileObject*> seen;
  for (const FileObject& object : parsed.objects) {
    if (object.name().empty()) continue;  // generateName
    const auto [first, fresh] = seen.emplace(identity(object), &object);
    if (!fresh) parsed.problems.push_back(repeated(*first->second, object));
  }
}

void append(std::vector<Problem>& to, std::vector<Problem> from) {
  std::ranges::move(from, std::back_inserter(to));
}

}  // namespace

std::string_view FileObject::name() const {
  return View(&object, {})["metadata"]["name"].text();
}
std::string_view FileObject::name_space() const {
  return kind->namespaced ? View(&object, {})["metadata"]["namespace"].text() : std::string_view();
}

ParsedFile parse_file(std::string_view text, std::string_view name, const ParseOptions& options) {
  Documents documents = read_documents(text, name, options.limits);
  ParsedFile parsed;
  parsed.problems = std::move(documents.problems);
  std::vector<Part> parts;
  for (Document& document : documents.documents) {
    if (const auto [what, hint] = foreign_format(document.value); !what.empty()) {
      Problem problem{.reason = Reason::Unsupported, .message = what, .hints = {hint}};
      problem.file = name;
      problem.position = document.positions.value;
      parsed.problems.push_back(std::move(problem));
      continue;
    }
    flatten({std::move(document.value), std::move(document.positions)}, parts);
  }
  for (Part& part : parts) {
    ++parsed.objects_seen;
    AdmitOptions admit_options;
    admit_options.positions = &part.positions;
    admit_options.file = name;
    admit_options.default_namespace = options.default_namespace;
    admit_options.unknown_fields = options.unknown_fields;
    Admission admission = admit(part.value, admit_options);
    const bool accepted = admission.accepted();
    append(parsed.problems, std::move(admission.errors));
    append(parsed.notes, std::move(admission.notes));
    if (!accepted) continue;
    FileObject object{.kind = admission.kind,
                      .object = std::move(admission.object),
                      .written = std::move(part.value)};
    object.positions = std::move(part.positions);
    object.file = name;
    parsed.objects.push_back(std::move(object));
  }
  refuse_repeated(parsed);
  sort_by_position(parsed.problems);
  return parsed;
}

ParsedFile join_files(std::vector<ParsedFile> files) {
  ParsedFile all;
  std::map<std::string, const FileObject*> seen;
  std::vector<Problem> twice;
  for (ParsedFile& file : files) {
    append(all.problems, std::move(file.problems));
    append(all.notes, std::move(file.notes));
    all.objects_seen += file.objects_seen;
    for (const FileObject& object : file.objects) {
      if (object.name().empty()) continue;
      const auto [first, fresh] = seen.emplace(identity(object), &object);
      // Within one file parse_file() has said so.
      if (!fresh && first->second->file != object.file)
        twice.push_back(repeated(*first->second, object));
    }
  }
  append(all.problems, std::move(twice));
  for (ParsedFile& file : files) std::ranges::move(file.objects, std::back_inserter(all.objects));
  return all;
}

}  // namespace nexus::manifest
