#pragma once

// Admission of one object: structure, Kubernetes' defaults, Kubernetes' rules. The same call serves
// the CLI, which knows where each field stands in a file, and the API server, which knows field
// paths.
//
// An object is taken whole or refused whole: what this version does not carry out is an error by
// name, and what is accepted without an effect is told in a note. Nothing is dropped in silence.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "manifest/kinds.hpp"
#include "manifest/position_tree.hpp"
#include "manifest/problem.hpp"

namespace nexus::manifest {

using Json = nlohmann::json;

inline constexpr std::size_t kAnnotationsBytesMax = 256u << 10;  ///< Keys and values of one object.
inline constexpr std::size_t kDataBytesMax = 1u << 20;  ///< Of one ConfigMap or Secret, decoded.

struct AdmitOptions {
  const PositionTree* positions = nullptr;  ///< Of the object in its file. Borrowed for the call.
  std::string_view file{};                  ///< As the user gave it.
  const Json* existing = nullptr;  ///< The stored object on an update. Borrowed for the call.
  std::string_view default_namespace = "default";
  enum class UnknownFields : std::uint8_t {
    Refuse,
    Drop,  ///< With a note each: --unknown-fields=warn, fieldValidation=Warn.
  } unknown_fields = UnknownFields::Refuse;
};

struct Admission {
  const KindInfo* kind = nullptr;  ///< Null when the kind itself is refused.
  Json object;                     ///< With defaults, `status` removed. Use only when accepted().
  std::vector<Problem> errors;     ///< In the order of the file; all that were found.
  std::vector<Problem> notes;      ///< What has no effect or was converted. To be shown.

  bool accepted() const { return errors.empty(); }
};

/// On an update, what the server allots (addresses, node ports) and keeps (uid, deletionTimestamp)
/// is carried over where `object` does not say otherwise, and what must not change is checked.
Admission admit(Json object, const AdmitOptions& options = {});

}  // namespace nexus::manifest
