#pragma once

// From a method and a path to what is asked: the one table of everything that the API answers, and
// the right that each thing needs.

#include <nexus/access.hpp>
#include <string>
#include <string_view>

#include "api/target.hpp"
#include "manifest/kinds.hpp"

namespace nexus::api {

enum class Endpoint : std::uint8_t {
  // Kubernetes' part.
  Collection,  ///< List, watch, create, delete of many.
  Object,      ///< Get, replace, patch, delete.
  ObjectStatus,
  ObjectScale,
  PodLog,
  PodExec,
  PodAttach,
  PodPortForward,
  Healthy,
  Ready,
  Metrics,
  Version,
  ApiVersions,   ///< /api
  ApiGroups,     ///< /apis
  ApiGroup,      ///< /apis/{group}
  ApiResources,  ///< /api/v1, /apis/{group}/{version}
  OpenApiIndex,
  OpenApiGroup,
  // Ours.
  Node,
  WhoAmI,
  CanI,
  Ps,
  Why,
  History,
  Rollback,
  Restart,
  Pause,
  Resume,
  ImageList,
  ImageInspect,
  ImagePull,
  ImageImport,
  ImageExport,
  ImageRemove,
  ImageGc,
  Top,
  Doctor,
  ConfigEffective,
  FilesRead,
  FilesWrite,
  AuditList,
  AuditProof,
  AuditVerify,
  AuditExport,
};

struct Route {
  Endpoint endpoint = Endpoint::Healthy;
  AccessRequest access;
  const manifest::KindInfo* kind = nullptr;  ///< Collection to PodPortForward.
  std::string name_space, name;              ///< Of the object, or of what our routes name.
  std::string parameter;     ///< Why: the kind; AuditProof: the number; ApiGroup, OpenApiGroup: the
                             ///< group's path.
  bool open_to_all = false;  ///< Answered without authentication.
};

/// Errors: 404 (no such path, a kind that is not served: with what to use instead), 405 (the path
/// exists, the method does not), 400 (a name that no object can have).
Reply<Route> find_route(std::string_view method, const Target& target);

}  // namespace nexus::api
