#include "manifest/schema_types.hpp"

namespace nexus::manifest {

namespace {

constexpr Field kOwnerReferenceFields[] = {
    text("apiVersion", "Group and version of the owner.").required(),
    text("kind", "Kind of the owner.").required(),
    text("name", "Name of the owner.").required(),
    text("uid", "Identity of the owner.").required(),
    flag("controller", "The owner manages this object; at most one owner does."),
    flag("blockOwnerDeletion",
         "The owner stays until this object is gone, when it is deleted in the foreground."),
};
constinit const ObjectType kOwnerReference{"io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
                                           "An object that this one belongs to.",
                                           kOwnerReferenceFields};

constexpr Field kObjectMetaFields[] = {
    text("name", "Name, unique for the kind in its namespace.").immutable(),
    text("generateName", "Beginning of a name that the server completes, when there is no name.")
        .form(Format::NotEmpty),
    text("namespace", "Namespace of the object; default when not given.")
        .form(Format::DnsLabel)
        .immutable(),
    map("labels", Type::String, "What selectors choose objects by.")
        .keys(Format::LabelKey)
        .form(Format::LabelValue),
    map("annotations", Type::String, "Notes of tools and people; at most 256 KiB in all.")
        .keys(Format::LabelKey),
    list("finalizers", Type::String,
         "Each must be removed before the object goes after its deletion.")
        .form(Format::LabelKey)
        .merged(),
    list("ownerReferences", kOwnerReference,
         "Objects that this one belongs to; it is deleted with the last of them.")
        .keyed("uid"),
    text("uid", "Identity of the object in time and space; set by the server."),
    text("resourceVersion",
         "Revision of the last write. Sent with an update: refused if it has changed meanwhile."),
    int64("generation", "Counts the changes of spec; set by the server."),
    time("creationTimestamp", "When it was made; set by the server."),
    time("deletionTimestamp", "When its deletion was asked for; set by the server."),
    int64("deletionGracePeriodSeconds",
          "How long its deletion may take, in seconds; set by the server."),
    list("managedFields", Type::Any, "Which tool set which field.").server(),
    text("selfLink", "Not used any more.").server(),
    text("clusterName", "Not used any more.").server(),
};

constexpr std::string_view kSelectorOperators[] = {"In", "NotIn", "Exists", "DoesNotExist"};
constexpr Field kSelectorRequirementFields[] = {
    text("key", "Name of the label.").required().form(Format::LabelKey),
    text("operator", "How the label's value relates to `values`.")
        .required()
        .one_of(kSelectorOperators),
    list("values", Type::String, "In, NotIn: at least one. Exists, DoesNotExist: none.")
        .form(Format::LabelValue),
};
constinit const ObjectType kSelectorRequirement{
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement", "One condition on a label.",
    kSelectorRequirementFields};
constexpr Field kLabelSelectorFields[] = {
    map("matchLabels", Type::String, "Labels that must have these values.")
        .keys(Format::LabelKey)
        .form(Format::LabelValue),
    list("matchExpressions", kSelectorRequirement, "Further conditions; all must hold."),
};

constexpr Field kLocalObjectReferenceFields[] = {
    text("name", "Name of an object in the same namespace.").form(Format::DnsSubdomain),
};

constexpr Field kObjectReferenceFields[] = {
    text("apiVersion", "Group and version."),
    text("kind", "Kind."),
    text("namespace", "Namespace."),
    text("name", "Name."),
    text("uid", "Identity."),
    text("resourceVersion", "Revision."),
    text("fieldPath", "Which part of the object."),
};

constexpr Field kConditionFields[] = {
    text("type", "Name of the condition.").required(),
    text("status", "True, False or Unknown.").required(),
    text("reason", "Why, in one word."),
    text("message", "Why, for people."),
    time("lastTransitionTime", "When status changed last."),
    time("lastUpdateTime", "When it was looked at last."),
    time("lastProbeTime", "When it was looked at last."),
    int64("observedGeneration", "metadata.generation that this is about."),
};

}  // namespace

constinit const ObjectType kObjectMeta{"io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
                                       "What every object has.", kObjectMetaFields};
constinit const ObjectType kLabelSelectorType{"io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
                                              "Chooses objects by their labels; empty chooses all.",
                                              kLabelSelectorFields};
constinit const ObjectType kLocalObjectReference{"io.k8s.api.core.v1.LocalObjectReference",
                                                 "Names an object of the same namespace.",
                                                 kLocalObjectReferenceFields};
constinit const ObjectType kObjectReference{"io.k8s.api.core.v1.ObjectReference",
                                            "Names an object.", kObjectReferenceFields};
constinit const ObjectType kCondition{"io.k8s.apimachinery.pkg.apis.meta.v1.Condition",
                                      "One thing that is so or is not.", kConditionFields};

}  // namespace nexus::manifest
