#include "commands/topics.hpp"

namespace cli {
namespace {

constexpr std::string_view kStart = R"(Starting

  hm dev --detach      a node on this machine; needs root, no network
  hm deploy demo       the application that is in this program
  hm ps                what runs
  hm why NAME          why something does not
  hm dev reset         removes everything again

Then an application of one's own, from a Kubernetes manifest:

  hm deploy -f app.yaml

or in one line:

  hm run web --image nginx:1.28 --port 80 --replicas 3
)";

constexpr std::string_view kOutput = R"(Forms of output

  -o table                  for people (default); -o wide has more columns
  -o json, -o yaml          everything; keys are never taken away within an apiVersion
  -o name                   KIND/NAME, one a line
  -o jsonpath=TEMPLATE      the templates of kubectl:
        {.items[*].metadata.name}
        {range .items[*]}{.name}{"\t"}{.ip}{"\n"}{end}
        {.items[?(@.ready==true)].name}
  -o custom-columns=HEAD:PATH,...
        NAME:.metadata.name,IMAGE:.spec.template.spec.containers[*].image

Lists are {"items":[...]}, also for one name. Data goes to standard output, everything else to standard error,
so pipes are clean. --no-headers leaves out the heads of a table, -q everything but names.
Colour only on a terminal, never with NO_COLOR or --color=never; ASCII where the locale is not UTF-8.
)";

constexpr std::string_view kErrors = R"(Errors and exit codes

An error says what happened, why, what to do and where to look:

    error: no pod or workload "wbe" in namespace default; did you mean "web"?       (exit 3)
    try   hm ps   trace 7f3a...

With -o json it is {"error":{"code","exit","message","reasons","hints","traceId"}} on standard error. The trace id is in
the node's log and in the audit log.

   0  done                                      6  forbidden by role or policy
   1  failed                                    7  no quorum
   2  usage, or --yes is needed                 8  a proof or signature does not verify
   3  not found                                 9  conflict: changed meanwhile, or exists
   4  cannot be placed                         10  differences or problems were found (diff, config check, doctor)
   5  timed out                               130  interrupted with Ctrl-C

hm exec passes on the exit code of its command.
)";

constexpr std::string_view kPlans = R"(Plans, confirmation, receipts

Before something is replaced or removed the plan is shown and asked about. --yes goes on without asking. Where nobody can be
asked (no terminal) and --yes is missing nothing is done, and the exit code is 2. --dry-run stops after the plan;
--dry-run=client does so without the node's check. A command that acts without a plan refuses it.

   + made    ~ changed or replaced    - removed

Every write ends with its place in the audit log:

   receipt 1842  log b7c1...  signed by 1/1   (hm audit verify 1842)

hm audit verify checks here, in this program, that the record is under the root that was signed.
)";

constexpr std::string_view kRollouts = R"(Rollouts

deploy, run, scale, update, rollback and restart wait until what was asked for is ready. --detach returns at once; Ctrl-C stops the
waiting, not the change. A rollout that misses --timeout, or the progress deadline of the deployment, is rolled
back and the command fails: exit 5 for --timeout, 1 for the deadline. What is new stays, so that it can be looked at.

   hm history web                 revisions, who made them, their receipts
   hm rollback web --to 3
   hm update web --pause          and --resume
   hm why web                     what holds it up
)";

constexpr std::string_view kContexts = R"(Which cluster

In this order:

   1  --context NAME
   2  HM_HOME             a folder with a development cluster and its contexts
   3  HM_CONTEXT, or the context in use (hm context use)
   4  the node of this machine: /run/hypermesh/api.sock

hm context ls shows which one that is. Contexts are in ~/.config/hypermesh/config.yaml:

   current: prod
   contexts:
   - name: prod
     servers: ["https://[2001:db8::11]:8443"]
     token-file: /home/ana/prod.token
     certificate-file: /home/ana/prod.crt
     namespace: shop
)";

constexpr std::string_view kVolumes = R"(Volumes

   emptyDir                 lives as long as the pod; medium: Memory keeps it in memory
   configMap, secret        files with the keys of an object; they follow its changes
   projected, downwardAPI   several of them in one folder, and what the pod is called
   hostPath                 a folder of the node; the role admin is needed
   persistentVolumeClaim    a named volume of the node, made on first use; it outlives the pod

hm explain pod.spec.volumes names every field, and what is not supported.
)";

constexpr std::string_view kManifests = R"(Manifests

Kubernetes manifests as they are: YAML, KYAML and JSON, several documents, kind: List. hm version names the kinds
that are served. What is not honoured is refused with file, line and path, never dropped:

   app.yaml:31: spec.template.spec.volumes[0].flexVolume is not supported

   hm deploy -f FILE|FOLDER|-     plan, apply, wait
   hm apply -f FILE               the same without waiting
   hm diff -f FILE                what would change; exit 10 when something would
   hm delete -f FILE
   hm explain KIND.FIELD          the schema

--unknown-fields=warn lets unknown fields pass with a note.
)";

constexpr std::string_view kOffline = R"(Without a network

Nothing here fetches anything by itself. The demo image and these texts are in the program. Images come from where
their names say, or from a file:

   hm image import app.tar
   hm image export nginx:1.28 nginx.tar
)";

constexpr Topic kTopics[] = {
    {"start", "the first application", kStart},
    {"manifests", "what files are understood", kManifests},
    {"rollouts", "waiting, rolling back, history", kRollouts},
    {"plans", "what is asked before, and the receipt after", kPlans},
    {"output", "forms of output, colour, pipes", kOutput},
    {"errors", "errors and exit codes", kErrors},
    {"contexts", "which cluster a command talks to", kContexts},
    {"volumes", "storage of pods", kVolumes},
    {"offline", "working without a network", kOffline},
};

}  // namespace

std::span<const Topic> all_topics() {
  return kTopics;
}

}  // namespace cli
