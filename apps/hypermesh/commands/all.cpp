#include "commands/all.hpp"

namespace cli {
namespace {

constexpr const Command* kAll[] = {
    &kDevUp,       &kDevStatus,  &kDevStart,    &kDevStop,     &kDevReset,     &kDeploy,
    &kRun,         &kScale,      &kUpdate,      &kRollback,    &kHistory,      &kRestart,
    &kDelete,      &kPs,         &kTop,         &kEvents,      &kWhy,          &kLogs,
    &kExec,        &kAttach,     &kCp,          &kPortForward, &kGet,          &kDescribe,
    &kApply,       &kDiff,       &kWait,        &kExplain,     &kNodeLs,       &kNodeDescribe,
    &kImageLs,     &kImagePull,  &kImageImport, &kImageExport, &kImageInspect, &kImageRm,
    &kImageGc,     &kDnsLookup,  &kDnsRecords,  &kDnsZones,    &kDnsStats,     &kStoqPing,
    &kStoqConnect, &kStoqCert,   &kStoqBench,   &kAuditLs,     &kAuditVerify,  &kAuditExport,
    &kAuthWhoami,  &kAuthCanI,   &kDoctor,      &kMetrics,     &kApiSpec,      &kConfigCheck,
    &kConfigShow,  &kContextLs,  &kContextUse,  &kContextAdd,  &kContextRm,    &kHelp,
    &kVersion,     &kCompletion, &kComplete,    &kMan,         &kUninstall,
};

constexpr Group kGroups[] = {
    {"dev", "a development node on this machine"},
    {"node", "the nodes of the cluster"},
    {"image", "container images on the node"},
    {"dns", "the names of the cluster"},
    {"stoq", "the transport between nodes"},
    {"audit", "who did what, and the proof of it"},
    {"auth", "who one is and what one may do"},
    {"api", "the API of the node"},
    {"config", "configuration files of the daemons"},
    {"context", "the clusters that this program knows"},
};

}  // namespace

std::span<const Command* const> all_commands() {
  return kAll;
}
std::span<const Group> command_groups() {
  return kGroups;
}

}  // namespace cli
