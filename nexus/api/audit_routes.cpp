#include <fmt/format.h>

#include <charconv>

#include "api/handlers.hpp"
#include "api/options.hpp"
#include "audit/audit_log.hpp"
#include "objects/object.hpp"

namespace nexus::api {
namespace {

constexpr std::uint64_t kRecordsMax = 10'000;
constexpr std::size_t kExportSlice = 500;

Json to_json(const AuditRecord& record) {
  const AuditEntry& entry = record.entry;
  Json json = {{"sequence", record.sequence},
               {"revision", record.revision},
               {"time", base::to_rfc3339(entry.time, 3)},
               {"user", entry.who},
               {"role", entry.role},
               {"action", entry.action},
               {"object", entry.object},
               {"namespace", entry.name_space},
               {"result", entry.result},
               {"detail", entry.detail},
               {"from", entry.origin},
               {"traceId", entry.trace_id},
               {"previous", base::to_hex(record.previous)}};
  if (entry.digest) json["digest"] = base::to_hex(*entry.digest);
  return json;
}

Json list_document(Json items, const TreeHead& head) {
  return {{"kind", "AuditRecordList"},
          {"apiVersion", "hypermesh.io/v1"},
          {"items", std::move(items)},
          {"treeSize", head.size},
          {"root", base::to_hex(head.root)}};
}

Reply<AuditQuery> parse_query(const Exchange& exchange) {
  const Query& query = exchange.query();
  const base::WallTime now = exchange.backend().clock.wall();
  AuditQuery wanted;
  auto since = parse_moment("since", query, now);
  if (!since) return std::unexpected(std::move(since).error());
  auto until = parse_moment("until", query, now);
  if (!until) return std::unexpected(std::move(until).error());
  auto after = query.number("after", ~0ull);
  if (!after) return std::unexpected(std::move(after).error());
  auto limit = query.number("limit", kRecordsMax);
  if (!limit) return std::unexpected(std::move(limit).error());
  auto newest = query.flag("newest");
  if (!newest) return std::unexpected(std::move(newest).error());
  wanted.since = *since;
  wanted.until = *until;
  wanted.who = query.get("user");
  wanted.name_space = query.get("namespace");
  wanted.action = query.get("verb");
  wanted.result = query.get("result");
  wanted.after = after->value_or(0);
  wanted.limit = limit->value_or(100);
  // The newest are wanted unless one reads on from a record.
  wanted.newest_first = *newest || (!query.has("newest") && !query.has("after"));
  std::string kind(query.get("kind"));
  if (const manifest::KindInfo* known = manifest::find_kind(kind)) kind = known->singular;
  const std::string name(query.get("name"));
  if (!name.empty() && kind.empty())
    return bad_request("name without kind: ?kind=deployment&name=web");
  if (!kind.empty()) wanted.object = fmt::format("{}/{}", kind, name);
  return wanted;
}

}  // namespace

base::Task<Reply<>> list_audit(Exchange& exchange) {
  CO_TRY(AuditQuery query, parse_query(exchange));
  AuditLog& audit = exchange.backend().audit;
  CO_TRY(const std::vector<AuditRecord> records, co_await audit.list(std::move(query)));
  Json items = Json::array();
  for (const AuditRecord& record : records) items.push_back(to_json(record));
  co_return co_await exchange.answer(200, list_document(std::move(items), audit.head().head));
}

base::Task<Reply<>> prove_audit(Exchange& exchange) {
  std::uint64_t sequence = 0;
  const std::string& text = exchange.route.parameter;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), sequence);
  if (code != std::errc() || end != text.data() + text.size() || sequence == 0)
    co_return bad_request(fmt::format("\"{}\" is not the number of a record", text));
  CO_TRY(const AuditProof proof, co_await exchange.backend().audit.prove(sequence));
  Json path = Json::array();
  for (const base::Digest& hash : proof.path) path.push_back(base::to_hex(hash));
  const Json body = {{"kind", "AuditProof"},
                     {"apiVersion", "hypermesh.io/v1"},
                     {"sequence", sequence},
                     {"record", to_json(proof.record)},
                     {"leaf", base::to_hex(proof.encoded)},
                     {"treeSize", proof.head.head.size},
                     {"root", base::to_hex(proof.head.head.root)},
                     {"headTime", base::to_rfc3339(proof.head.head.time, 9)},
                     {"path", std::move(path)},
                     {"signatures",
                      {{{"voter", base::to_hex(proof.head.key)},
                        {"signature", base::to_hex(proof.head.signature)}}}}};
  co_return co_await exchange.answer(200, body);
}

base::Task<Reply<>> verify_audit(Exchange& exchange) {
  CO_TRY(const SignedTreeHead head, co_await exchange.backend().audit.verify_all());
  const Json body = {{"kind", "AuditVerification"},
                     {"apiVersion", "hypermesh.io/v1"},
                     {"ok", true},
                     {"records", head.head.size},
                     {"treeSize", head.head.size},
                     {"root", base::to_hex(head.head.root)}};
  co_return co_await exchange.answer(200, body);
}

base::Task<Reply<>> export_audit(Exchange& exchange) {
  CO_TRY_DO(co_await exchange.begin_stream("application/x-ndjson"));
  std::uint64_t after = 0;
  for (;;) {
    AuditQuery query;
    query.after = after;
    query.limit = kExportSlice;
    query.newest_first = false;
    CO_TRY(const std::vector<AuditRecord> records,
           co_await exchange.backend().audit.list(std::move(query)));
    if (records.empty()) break;
    std::string lines;
    for (const AuditRecord& record : records) lines += to_text(to_json(record)) + "\n";
    after = records.back().sequence;
    CO_TRY_DO(co_await exchange.write(lines));
  }
  co_return co_await exchange.end_stream();
}

}  // namespace nexus::api
