// audit ls, verify, export.
#include <fmt/format.h>

#include <algorithm>
#include <audit/merkle.hpp>
#include <audit/record.hpp>
#include <charconv>

#include "commands/all.hpp"
#include "commands/audit_proof.hpp"
#include "commands/objects.hpp"
#include "output/units.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;

// "14:02:11" of today's records, the date of older ones.
std::string short_time(const std::string& time, const base::Clock& clock) {
  const std::string today = base::to_rfc3339(clock.wall()).substr(0, 10);
  if (time.size() < 19) return time;
  return time.substr(0, 10) == today ? time.substr(11, 8)
                                     : time.substr(0, 10) + " " + time.substr(11, 5);
}

Result<int> run_ls(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  Query query;
  for (const char* name : {"since", "until", "user", "verb", "kind", "name", "result", "limit"})
    query.emplace_back(name, arguments.text(name));
  query.emplace_back("namespace", arguments.text("namespace"));
  if (!arguments.has("oldest")) query.emplace_back("newest", "1");
  if (!arguments.has("limit")) query.emplace_back("limit", "50");
  TRY(const Json answer, api->get(own_path({"audit"}, query)));
  Document document;
  document.value = answer;
  document.value.emplace("apiVersion", kApiVersion);
  for (const Json& item : list_at(answer, {"items"}))
    document.names.push_back(text_at(item, {"sequence"}));
  document.table = [items = list_at(answer, {"items"}), &clock = session.clock()](bool wide) {
    std::vector<std::string> heads = {"SEQ",       "TIME",   "WHO",    "ROLE", "ACTION",
                                      "NAMESPACE", "OBJECT", "RESULT", "FROM"};
    if (wide) heads.insert(heads.end(), {"TRACE", "DETAIL"});
    Table table(heads);
    for (const Json& item : items) {
      const std::string result = text_at(item, {"result"});
      std::vector<Cell> row = {
          text_at(item, {"sequence"}), short_time(text_at(item, {"time"}), clock),
          text_at(item, {"user"}),     text_at(item, {"role"}),
          text_at(item, {"action"}),   text_at(item, {"namespace"}),
          text_at(item, {"object"}),   {result, result == "ok" ? Tone::Plain : Tone::Warn},
          text_at(item, {"from"})};
      if (wide) {
        row.emplace_back(text_at(item, {"traceId"}));
        row.emplace_back(text_at(item, {"detail"}));
      }
      table.row(std::move(row));
    }
    return table;
  };
  document.when_empty = "no records";
  return session.show(document);
}

Result<int> verify_all(Session& session, Api& api) {
  TRY(const Answer answer, api.send("POST", own_path({"audit", "verify"}), {{"from", 1}},
                                    "application/json", std::chrono::minutes(10)));
  const auto records = static_cast<std::uint64_t>(number_at(answer.body, {"records"}));
  if (!flag_at(answer.body, {"ok"}))
    return base::fail(Errc::NotVerified, "the audit log does not verify");
  Document document;
  document.value = answer.body;
  document.value.emplace("apiVersion", kApiVersion);
  document.value.emplace("kind", "AuditVerification");
  if (session.format().for_programs()) return session.show(document);
  session.console().say(
      Outcome::Done, fmt::format("{} records, chain and tree hold; root {}…", show_count(records),
                                 text_at(answer.body, {"root"}).substr(0, 8)));
  return 0;
}

Result<int> run_verify(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  if (arguments.has("all")) {
    if (!arguments.words().empty())
      return base::fail(Errc::InvalidArgument, "--all verifies every record; leave out the number");
    return verify_all(session, *api);
  }
  const std::string word = arguments.word(0);
  std::uint64_t sequence = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), sequence);
  if (error != std::errc() || end != word.data() + word.size() || sequence == 0) {
    return std::unexpected(
        base::with_hint(base::make_error(Errc::InvalidArgument,
                                         fmt::format("\"{}\" is not the number of a record", word)),
                        "hm audit verify --all"));
  }
  TRY(const Json proof, api->get(own_path({"audit", word, "proof"})));
  TRY(const CheckedProof checked, check_proof(proof, sequence));
  Document document;
  document.value = {{"apiVersion", kApiVersion},
                    {"kind", "AuditProof"},
                    {"sequence", sequence},
                    {"included", true},
                    {"treeSize", checked.tree_size},
                    {"root", checked.root},
                    {"signatures", checked.signatures},
                    {"voters", checked.voters},
                    {"record", checked.record}};
  document.names = {word};
  if (session.format().for_programs()) return session.show(document);
  const Look& look = session.console().out_look();
  session.console().out(
      outcome_line(
          look, Outcome::Done,
          fmt::format("included in root {}… (tree {})  signatures {}/{}", checked.root.substr(0, 4),
                      show_count(checked.tree_size), checked.signatures, checked.voters)) +
      "\n");
  const Json& record = checked.record;
  session.console().out(
      fmt::format("  {}  {} {} {} {}\n", printable(text_at(record, {"time"})),
                  printable(text_at(record, {"user"})), printable(text_at(record, {"action"})),
                  printable(text_at(record, {"object"})), printable(text_at(record, {"result"}))));
  return 0;
}

Result<int> run_export(Session& session, const Arguments&) {
  TRY(Api * api, session.api());
  TRY_DO(api->download(own_path({"audit", "export"}), [&](std::string_view bytes) -> Result<> {
    session.console().out(bytes);
    if (session.console().out_broken())
      return base::fail(Errc::Cancelled, "standard output is closed");
    return {};
  }));
  return 0;
}

constexpr Argument kVerifyArguments[] = {{"SEQ", false}};
constexpr Flag kLsFlags[] = {
    {"since", '\0', "TIME", "RFC 3339, or an age such as 1h"},
    {"until", '\0', "TIME", "likewise"},
    {"user", '\0', "NAME", "who"},
    {"verb", '\0', "ACTION", "create, update, delete, exec, ..."},
    {"kind", '\0', "KIND", "of the object", false, {}, Completes::Kind},
    {"name", '\0', "NAME", "of the object"},
    {"result", '\0', "RESULT", "ok, denied or an error's name"},
    {"limit", '\0', "COUNT", "so many records (default 50)"},
    {"oldest", '\0', "", "oldest first"},
};
constexpr Flag kVerifyFlags[] = {{"all", '\0', "", "the node reads its whole log again"}};
constexpr Flag kExportFlags[] = {
    {"jsonl", '\0', "", "one JSON object for each record (the only form)"}};
constexpr Example kLsExamples[] = {{"hm audit ls --since 1h", ""},
                                   {"hm audit ls --result denied --user bob", ""}};
constexpr Example kVerifyExamples[] = {
    {"hm audit verify 1842", "that a receipt's record is in the log"},
    {"hm audit verify --all", ""}};
constexpr Example kExportExamples[] = {{"hm audit export --jsonl >audit.jsonl", ""}};

}  // namespace

constinit const Command kAuditLs = {.path = "audit ls",
                                    .summary = "who did what, newest first",
                                    .description = "",
                                    .flags = kLsFlags,
                                    .examples = kLsExamples,
                                    .run = run_ls};
constinit const Command kAuditVerify = {
    .path = "audit verify",
    .summary = "check that a record is in the log and the log is whole",
    .description =
        "With a number: this program itself checks the proof that leads from the record to the "
        "signed root.\n"
        "What does not hold is exit 8 and names the record.",
    .arguments = kVerifyArguments,
    .flags = kVerifyFlags,
    .examples = kVerifyExamples,
    .run = run_verify};
constinit const Command kAuditExport = {.path = "audit export",
                                        .summary = "every record in order",
                                        .description = "",
                                        .flags = kExportFlags,
                                        .examples = kExportExamples,
                                        .run = run_export};

}  // namespace cli
