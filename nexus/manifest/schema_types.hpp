#pragma once

// The types that tables of several files name. Private to the schema.

#include "manifest/schema.hpp"

namespace nexus::manifest {

extern const ObjectType kObjectMeta;
extern const ObjectType kLabelSelectorType;
extern const ObjectType kLocalObjectReference;
extern const ObjectType kObjectReference;
extern const ObjectType kCondition;

extern const ObjectType kContainer;
extern const ObjectType kProbe;
extern const ObjectType kContainerSecurityContext;
extern const ObjectType kPodSecurityContext;
extern const ObjectType kResourceRequirements;
extern const ObjectType kObjectFieldSelector;
extern const ObjectType kResourceFieldSelector;

extern const ObjectType kVolume;
extern const ObjectType kAffinity;
extern const ObjectType kToleration;
extern const ObjectType kTopologySpreadConstraint;

extern const ObjectType kPodSpec;
extern const ObjectType kPodTemplateSpec;
extern const ObjectType kPodStatus;

extern const ObjectType kPod;
extern const ObjectType kDeployment;
extern const ObjectType kReplicaSet;
extern const ObjectType kJob;
extern const ObjectType kService;
extern const ObjectType kEndpoints;
extern const ObjectType kEndpointSlice;
extern const ObjectType kConfigMap;
extern const ObjectType kSecret;
extern const ObjectType kNamespace;
extern const ObjectType kNode;
extern const ObjectType kEvent;

inline constexpr std::string_view kProtocols[] = {"TCP", "UDP", "SCTP"};
inline constexpr std::string_view kOneNode = "there is one node to place pods on";

/// The first three fields of every object.
constexpr Field api_version_field() {
  return text("apiVersion", "Group and version of the kind, such as apps/v1.").required();
}
constexpr Field kind_field() {
  return text("kind", "What the object is, such as Deployment.").required();
}
constexpr Field metadata_field() {
  return object("metadata", kObjectMeta, "Name, namespace, labels and annotations.").required();
}

}  // namespace nexus::manifest
