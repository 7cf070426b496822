#include <fmt/format.h>

#include <algorithm>
#include <api_client/client.hpp>
#include <base/async/task_scope.hpp>
#include <deque>
#include <set>

#include "commands/all.hpp"
#include "commands/log_lines.hpp"
#include "commands/log_place.hpp"
#include "commands/objects.hpp"
#include "output/units.hpp"
#include "session/loop.hpp"

namespace cli {
namespace {

using api_client::AnswerStream;
using base::Result;
using base::Task;

struct Source {
  std::string pod, node, container;
  auto operator<=>(const Source&) const = default;
};

struct Question {
  std::string name_space;
  std::string container;  // "": every container of the pod
  std::string node;       // "": any
  Query query;            // of the log request, without the container
  bool follow = false;
  std::string workload;  // "": the pods that were named, no others
};

std::vector<Source> sources_of(const Json& pod, const std::string& node, const Question& question) {
  std::vector<Source> out;
  if (!question.node.empty() && node != question.node) return out;
  const std::string name = text_at(pod, {"metadata", "name"});
  if (!question.container.empty()) return {{name, node, question.container}};
  for (const Json& container : list_at(pod, {"spec", "containers"}))
    out.push_back({name, node, text_at(container, {"name"})});
  return out;
}

std::string log_path(const Question& question, const Source& source) {
  Query query = question.query;
  query.emplace_back("container", source.container);
  query.emplace_back("format", "json");
  const std::string tail = api_path({"log"}, query);
  return kind_path(kind_named("Pod"), question.name_space, source.pod) + tail;
}

// Prints from many containers; alive until all tasks have ended.
class Printer {
 public:
  Printer(Console& console, LogStyle style, bool prefixed, bool several_containers)
      : console_(console),
        style_(std::move(style)),
        prefixed_(prefixed),
        several_containers_(several_containers) {}

  LogLines& lines_of(const Source& source) {
    std::string prefix;
    if (prefixed_) {
      const std::string container = several_containers_ ? "/" + source.container : "";
      prefix = fmt::format("{}{}{} │ ", source.pod, container,
                           source.node.empty() ? "" : "@" + source.node);
    }
    return lines_.emplace_back(style_, prefix, lines_.size(), source.pod, source.container,
                               source.node);
  }
  void print(std::string_view text) { console_.out(text); }
  void flush() { console_.flush(); }
  bool broken() const { return console_.out_broken(); }

 private:
  Console& console_;
  LogStyle style_;
  bool prefixed_, several_containers_;
  std::deque<LogLines> lines_;
};

Task<Result<Json>> next_record(AnswerStream& stream) {
  CO_TRY(const auto line, co_await stream.next_line());
  if (!line) co_return Json();
  Json record = Json::parse(*line, nullptr, false);
  if (!record.is_object())
    co_return base::fail(base::Errc::DataLoss, "the node sent a log record that cannot be read");
  co_return record;
}

// Without --follow: the records of all sources in the order of their time.
Task<Result<int>> print_merged(api_client::Client& client, Question question,
                               std::vector<Source> sources, Printer& printer) {
  struct Open {
    std::unique_ptr<AnswerStream> stream;
    Json record;
    LogLines* lines;
  };
  std::vector<Open> open;
  for (const Source& source : sources) {
    api_client::Request request;
    request.path = log_path(question, source);
    auto stream = co_await client.stream(std::move(request));
    if (!stream && sources.size() > 1 && stream.error().code == base::Errc::NotFound) continue;
    if (!stream) co_return std::unexpected(std::move(stream).error());
    CO_TRY(Json record, co_await next_record(**stream));
    if (!record.is_null())
      open.push_back({*std::move(stream), std::move(record), &printer.lines_of(source)});
  }
  while (!open.empty() && !printer.broken()) {
    const auto first = std::ranges::min_element(
        open, {}, [](const Open& o) { return text_at(o.record, {"time"}); });
    printer.print(first->lines->add(first->record));
    CO_TRY(first->record, co_await next_record(*first->stream));
    if (first->record.is_null()) {
      printer.print(first->lines->finish());
      open.erase(first);
    }
  }
  co_return 0;
}

// Everything that --follow keeps going.
struct Following {
  api_client::Client& client;
  const base::Clock& clock;
  const Question& question;
  Printer& printer;
  base::TaskScope& scope;
  base::Event& changed;
  std::set<Source> known{};
  std::size_t running = 0;
  std::optional<base::Error> error{};
};

void forget_beginning(Query& query) {
  std::erase_if(query, [](const auto& entry) {
    return entry.first == "tailLines" || entry.first == "sinceSeconds" ||
           entry.first == "sinceTime";
  });
}

// Prints what comes over one connection. Errors: what the connection ended with.
Task<Result<>> print_records(Following& all, std::string path, LogLines& lines, LogPlace& place,
                             base::MonotonicTime& answered) {
  api_client::Request request;
  request.path = std::move(path);
  CO_TRY(const auto stream, co_await all.client.stream(std::move(request)));
  answered = all.clock.now();
  while (!all.printer.broken()) {
    auto record = co_await next_record(*stream);
    answered = all.clock.now();
    if (!record) co_return std::unexpected(std::move(record).error());
    if (record->is_null()) break;
    if (!place.take(*record)) continue;
    all.printer.print(lines.add(*record));
    all.printer.flush();
  }
  co_return Result<>();
}

Task<> follow_source(Following& all, Source source, bool appeared_later) {
  Question question = all.question;
  // A replica that appears later is shown from its first line.
  if (appeared_later) forget_beginning(question.query);
  LogLines& lines = all.printer.lines_of(source);
  LogPlace place;
  base::MonotonicTime answered = all.clock.now();
  for (;;) {
    auto end = co_await print_records(all, log_path(question, source), lines, place, answered);
    if (end) break;
    // A daemon that starts anew is soon there again; what was shown is not shown twice.
    if (end.error().code == base::Errc::Unavailable && all.clock.now() - answered <= kAwayMax) {
      if (const auto time = place.resume()) {
        forget_beginning(question.query);
        question.query.emplace_back("sinceTime", *time);
      }
      co_await base::sleep_for(kReconnectPause);
      continue;
    }
    // A replica that is not started yet or is gone already is no reason to stop the others.
    if (end.error().code != base::Errc::NotFound &&
        end.error().code != base::Errc::FailedPrecondition)
      all.error = std::move(end).error();
    if (appeared_later) all.known.erase(source);
    break;
  }
  all.printer.print(lines.finish());
  all.printer.flush();
  --all.running;
  all.changed.notify();
}

void start(Following& all, const std::vector<Source>& sources, bool later) {
  for (const Source& source : sources) {
    if (!all.known.insert(source).second) continue;
    ++all.running;
    all.scope.spawn(follow_source(all, source, later));
  }
}

// Looks for replicas that appear later: after each change of a pod of the namespace.
Task<> find_replicas(Following& all, std::string pods_path) {
  for (;;) {
    const auto ps =
        co_await all.client.get(own_path({"ps"}, {{"namespace", all.question.name_space}}));
    const auto page = co_await all.client.get(pods_path + "?limit=1");
    if (ps && page) {
      for (const Json& item : list_at(*ps, {"items"})) {
        if (text_at(item, {"workload"}) != all.question.workload || number_at(item, {"pid"}) == 0)
          continue;
        const auto pod = co_await all.client.get(pods_path + api_path({text_at(item, {"name"})}));
        if (pod) start(all, sources_of(*pod, text_at(item, {"node"}), all.question), true);
      }
      api_client::Request request;
      request.path =
          pods_path + "?watch=1&resourceVersion=" + text_at(*page, {"metadata", "resourceVersion"});
      auto stream = co_await all.client.stream(std::move(request));
      if (stream) (void)co_await (*stream)->next_line();
    }
    co_await base::sleep_for(std::chrono::milliseconds(300));
  }
}

Task<Result<int>> follow(api_client::Client& client, const base::Clock& clock,
                         base::Executor executor, Question question, std::vector<Source> sources,
                         Printer& printer) {
  base::TaskScope scope(executor);
  base::Event changed(executor);
  Following all{client, clock, question, printer, scope, changed};
  start(all, sources, false);
  if (!question.workload.empty())
    scope.spawn(find_replicas(all, kind_path(kind_named("Pod"), question.name_space, "")));
  try {
    // Of a workload replicas may come any time; of a pod the end is the end.
    while ((all.running > 0 || !question.workload.empty()) && !printer.broken() && !all.error) {
      co_await changed.wait();
      if ((co_await base::asio::this_coro::cancellation_state).cancelled() !=
          base::asio::cancellation_type::none)
        break;
    }
  } catch (...) {
    // Ctrl-C ends the tasks below; the loop answers Cancelled.
  }
  scope.cancel();
  co_await base::asio::this_coro::reset_cancellation_state();
  co_await scope.join();
  if (all.error) co_return std::unexpected(*std::move(all.error));
  co_return 0;
}

Result<int> run(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  Question question;
  TRY(question.name_space, session.name_space());
  question.container = arguments.text("container");
  question.node = arguments.text("node");
  question.follow = arguments.has("follow");
  LogStyle style{session.console().out_look(),
                 session.format().form == OutputFormat::Form::Json,
                 arguments.has("timestamps"),
                 {}};
  if (arguments.has("grep")) {
    TRY(style.pattern, LinePattern::compile(arguments.text("grep")));
  }
  if (question.follow) question.query.emplace_back("follow", "1");
  if (arguments.has("previous")) question.query.emplace_back("previous", "1");
  if (arguments.has("since")) {
    TRY(const base::Duration since, parse_duration(arguments.text("since"), "--since"));
    question.query.emplace_back(
        "sinceSeconds", std::to_string(std::max<std::int64_t>(
                            1, std::chrono::duration_cast<std::chrono::seconds>(since).count())));
  }
  if (arguments.has("tail")) {
    const std::string tail = arguments.text("tail");
    const bool digits =
        !tail.empty() && tail.size() < 10 &&
        std::ranges::all_of(tail, [](unsigned char c) { return std::isdigit(c) != 0; });
    if (!digits && tail != "-1")
      return base::fail(base::Errc::InvalidArgument,
                        fmt::format("--tail is \"{}\"; want a number of lines", tail));
    if (digits) question.query.emplace_back("tailLines", tail);
  }
  if (arguments.has("stream"))
    question.query.emplace_back("stream",
                                arguments.text("stream") == "stdout" ? "Stdout" : "Stderr");

  TRY(const PodChoice choice, pods_of(session, *api, question.name_space, arguments.word(0)));
  question.workload = choice.workload;
  std::vector<Source> sources;
  bool several_containers = false;
  for (const Json& item : choice.pods) {
    TRY(const Json pod,
        api->get(kind_path(kind_named("Pod"), question.name_space, text_at(item, {"name"}))));
    const auto more = sources_of(pod, text_at(item, {"node"}), question);
    several_containers = several_containers || more.size() > 1;
    sources.insert(sources.end(), more.begin(), more.end());
  }
  const bool prefixed = sources.size() > 1 || (question.follow && !choice.workload.empty());
  Printer printer(session.console(), std::move(style), prefixed, several_containers);
  const bool follow_on = question.follow;
  auto& loop = session.loop();
  auto exit = follow_on ? loop.run(follow(api->client(), session.clock(), loop.executor(), question,
                                          sources, printer))
                        : loop.run(print_merged(api->client(), question, sources, printer));
  session.console().flush();
  if (!exit && exit.error().code == base::Errc::Cancelled && follow_on)
    return 130;  // Ctrl-C is how following ends
  if (!exit) return std::unexpected(api->refusal(std::move(exit).error()));
  return *exit;
}

constexpr Argument kArguments[] = {{"NAME", true, false, Completes::Workload}};
constexpr Flag kFlags[] = {
    {"follow", 'f', "", "go on with new lines, and with replicas that appear later"},
    {"since", '\0', "DURATION", "only lines of the last 10m, 1h, ..."},
    {"tail", '\0', "LINES", "only the last lines of each container"},
    {"container", 'c', "NAME", "one container of the pod; default: all"},
    {"previous", 'p', "", "of the attempt before the latest"},
    {"grep", '\0', "PATTERN", "only lines that match this extended regular expression"},
    {"node", '\0', "NODE", "only replicas on this node", false, {}, Completes::Node},
    {"timestamps", '\0', "", "the time before each line"},
    {"stream", '\0', "NAME", "only this stream", false, {}, Completes::Nothing, "stdout|stderr"},
};
constexpr Example kExamples[] = {
    {"hm logs web -f --since 10m", "all replicas of web, as it goes on"},
    {"hm logs web-4-a1b2 --previous", "why the attempt before ended"}};

}  // namespace

constinit const Command kLogs = {.path = "logs",
                                 .summary = "what containers print",
                                 .description =
                                     "NAME is a pod or a workload. Lines of several containers "
                                     "begin with POD@NODE and come in the order of\n"
                                     "their time. -o json prints one JSON object for each line.",
                                 .arguments = kArguments,
                                 .flags = kFlags,
                                 .examples = kExamples,
                                 .run = run};

}  // namespace cli
