#pragma once

#include <manifest/manifest_file.hpp>
#include <string>
#include <vector>

#include "session/session.hpp"

namespace cli {

struct Manifests {
  std::vector<nexus::manifest::FileObject> objects;  ///< In the order in which they are applied.
  bool unknown_fields_pass = false;
  std::string note;  ///< "from app.yaml: Kubernetes, 3 objects"
};

/// Reads files, the files of folders (.yaml .yml .json, not those below), and "-" for standard
/// input; shows notes. Errors: InvalidArgument: every mistake with file, line and path, or a URL;
/// NotFound.
base::Result<Manifests> load_manifests(Session& session, const std::vector<std::string>& names,
                                       const std::string& name_space, bool unknown_fields_pass);
/// The same of a text that is in the program.
base::Result<Manifests> read_manifests(Session& session, std::string_view text,
                                       std::string_view name, const std::string& name_space);

}  // namespace cli
