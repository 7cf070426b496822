#pragma once

// Every command of the program, declared once. all.cpp puts them in the order of the overview.

#include "command/command.hpp"

namespace cli {

// The first application.
extern const Command kDevUp, kDevStatus, kDevStart, kDevStop, kDevReset;
extern const Command kDeploy, kRun, kScale, kUpdate, kRollback, kHistory, kRestart, kDelete;
// What runs.
extern const Command kPs, kTop, kEvents, kWhy, kLogs, kExec, kAttach, kCp, kPortForward;
// Objects, in kubectl's words.
extern const Command kGet, kDescribe, kApply, kDiff, kWait, kExplain;
// The node.
extern const Command kNodeLs, kNodeDescribe, kImageLs, kImagePull, kImageImport, kImageExport,
    kImageInspect, kImageRm, kImageGc;
extern const Command kStoqPing, kStoqConnect, kStoqCert, kStoqBench;
extern const Command kDnsLookup, kDnsRecords, kDnsZones, kDnsStats;
extern const Command kAuditLs, kAuditVerify, kAuditExport;
extern const Command kAuthWhoami, kAuthCanI;
extern const Command kDoctor, kMetrics, kApiSpec, kConfigCheck, kConfigShow;
// The program itself.
extern const Command kContextLs, kContextUse, kContextAdd, kContextRm;
extern const Command kHelp, kVersion, kCompletion, kComplete, kMan, kUninstall;

}  // namespace cli
