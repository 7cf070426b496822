#pragma once

// Files of manifests: several documents, lists, and every mistake with its line.

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/admit.hpp"
#include "manifest/label_selector.hpp"
#include "manifest/yaml_document.hpp"

namespace nexus::manifest {

/// An object of a file, admitted.
struct FileObject {
  const KindInfo* kind = nullptr;
  Json object;   ///< With defaults.
  Json written;  ///< As it stands in the file: what a patch of a stored object is made from.
  PositionTree positions;
  std::string file;

  std::string_view name() const;
  std::string_view name_space() const;  ///< Empty for kinds without one.
};

struct ParsedFile {
  std::vector<FileObject> objects;  ///< In the order of the file; only those that were accepted.
  std::vector<Problem> problems;    ///< In the order of the file.
  std::vector<Problem> notes;
  std::size_t objects_seen = 0;  ///< Accepted and refused.

  /// A file is taken whole or not at all.
  bool accepted() const { return problems.empty(); }
};

struct ParseOptions {
  std::string_view default_namespace = "default";
  AdmitOptions::UnknownFields unknown_fields = AdmitOptions::UnknownFields::Refuse;
  ReadLimits limits{};
};

/// Reads and admits every object of `text`. `name` is what problems call the file: as the user gave
/// it.
ParsedFile parse_file(std::string_view text, std::string_view name,
                      const ParseOptions& options = {});

/// Several files as one set: objects that appear in two of them are a problem.
ParsedFile join_files(std::vector<ParsedFile> files);

/// What else exists, for check_references(). Either function may be empty: then nothing else is
/// known and only what the set itself says is reported.
struct ReferenceSource {
  /// The stored object, or null.
  std::function<const Json*(std::string_view kind, std::string_view name_space,
                            std::string_view name)>
      find;
};

/// References to nothing: a ConfigMap, Secret, key, namespace, image pull secret or port name that
/// is neither in `objects` nor stored, and Services that choose no pod of the set. Warnings, since
/// what is missing may come later. With an empty `source.find` only missing keys of known objects
/// are reported.
std::vector<Problem> check_references(std::span<const FileObject> objects,
                                      const ReferenceSource& source = {});

}  // namespace nexus::manifest
