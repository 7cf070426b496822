#include "consensus/node/requests.hpp"

#include "consensus/wire.hpp"
#include "state/proof.hpp"

namespace hypermesh::consensus {

using base::ByteReader;
using base::ByteWriter;
using base::Errc;
using base::Result;

namespace {

constexpr std::size_t kErrorBytesMax = 4096, kKeyMax = state::kKeyBytesMax;
using ReplyKind = decltype(Reply::what)::value_type;

Result<std::string> read_text(ByteReader& in, std::size_t bytes_max) {
  TRY(const auto bytes, in.sized(bytes_max));
  return std::string(base::as_text(bytes));
}

void write_optional(ByteWriter& out, const std::optional<std::string>& text) {
  out.u8(text ? 1 : 0);
  if (text) out.sized(*text);
}
Result<std::optional<std::string>> read_optional(ByteReader& in) {
  TRY(const bool there, read_flag(in));
  if (!there) return std::optional<std::string>();
  TRY(auto text, read_text(in, state::kValueBytesMax));
  return std::optional(std::move(text));
}

void write(ByteWriter& out, const state::KeyValue& entry) {
  out.sized(entry.key);
  out.sized(entry.value);
  out.u64(entry.created);
  out.u64(entry.modified);
  out.u64(entry.lease);
}
Result<state::KeyValue> read_entry(ByteReader& in) {
  state::KeyValue entry;
  TRY(entry.key, read_text(in, kKeyMax));
  TRY(entry.value, read_text(in, state::kValueBytesMax));
  TRY(entry.created, in.u64());
  TRY(entry.modified, in.u64());
  TRY(entry.lease, in.u64());
  return entry;
}

struct RequestWriter {
  ByteWriter& out;
  void operator()(const OrderRequest& r) const { out.sized(r.command); }
  void operator()(const BundleRequest& r) const { write(out, *r.bundle); }
  void operator()(const GetRequest& r) const {
    out.sized(r.key);
    out.u8(r.local ? 1 : 0);
    out.u64(r.at);
  }
  void operator()(const RangeRequest& r) const {
    out.sized(r.query.prefix);
    out.sized(r.query.start_after);
    out.u32(static_cast<std::uint32_t>(r.query.entries_max));
    out.u64(r.query.at);
    out.u8(r.local ? 1 : 0);
  }
  void operator()(const ChangesRequest& r) const {
    out.sized(r.prefix);
    out.u64(r.after);
  }
  void operator()(const StatusRequest&) const {}
  void operator()(const CopyRequest&) const {}
  void operator()(const ProveRequest& r) const {
    out.sized(r.full_key);
    out.u64(r.proven);
  }
  void operator()(const ProveChangesRequest& r) const {
    out.sized(r.prefix);
    out.u64(r.after);
    out.u64(r.proven);
  }
};

struct RequestReader {
  ByteReader& in;
  using What = Result<decltype(Request::what)>;
  What operator()(std::type_identity<OrderRequest>) {
    TRY(const auto command, in.sized(kBundleBytesMax));
    return OrderRequest{{command.begin(), command.end()}};
  }
  What operator()(std::type_identity<BundleRequest>) {
    TRY(auto bundle, read_bundle(in));
    return BundleRequest{std::move(bundle)};
  }
  What operator()(std::type_identity<GetRequest>) {
    GetRequest r;
    TRY(r.key, read_text(in, kKeyMax));
    TRY(r.local, read_flag(in));
    TRY(r.at, in.u64());
    return r;
  }
  What operator()(std::type_identity<RangeRequest>) {
    RangeRequest r;
    TRY(r.query.prefix, read_text(in, kKeyMax));
    TRY(r.query.start_after, read_text(in, kKeyMax));
    TRY(r.query.entries_max, in.u32());
    TRY(r.query.at, in.u64());
    TRY(r.local, read_flag(in));
    return r;
  }
  What operator()(std::type_identity<ChangesRequest>) {
    ChangesRequest r;
    TRY(r.prefix, read_text(in, kKeyMax));
    TRY(r.after, in.u64());
    return r;
  }
  What operator()(std::type_identity<StatusRequest>) { return StatusRequest{}; }
  What operator()(std::type_identity<CopyRequest>) { return CopyRequest{}; }
  What operator()(std::type_identity<ProveRequest>) {
    ProveRequest r;
    TRY(r.full_key, read_text(in, state::kFullKeyBytesMax));
    TRY(r.proven, in.u64());
    return r;
  }
  What operator()(std::type_identity<ProveChangesRequest>) {
    ProveChangesRequest r;
    TRY(r.prefix, read_text(in, kKeyMax));
    TRY(r.after, in.u64());
    TRY(r.proven, in.u64());
    return r;
  }
};

void write(ByteWriter& out, const Proven& proven) {
  out.u16(static_cast<std::uint16_t>(proven.ends.size()));
  for (const auto& end : proven.ends) write(out, end);
  write(out, proven.checkpoint);
  out.sized(proven.last);
}
Result<base::Bytes> read_bytes(ByteReader& in, std::size_t bytes_max) {
  TRY(const auto bytes, in.sized(bytes_max));
  return base::Bytes(bytes.begin(), bytes.end());
}
Result<Proven> read_proven(ByteReader& in) {
  Proven proven;
  TRY(const auto count, read_count(in, kEndsPerMessageMax, "ends of epochs"));
  for (std::size_t i = 0; i < count; ++i) TRY_DO(read(in, proven.ends.emplace_back()));
  TRY_DO(read(in, proven.checkpoint));
  TRY(proven.last, read_bytes(in, state::kProofBytesMax));
  return proven;
}

struct ReplyWriter {
  ByteWriter& out;
  void operator()(const OrderReply& r) const { out.u64(r.number); }
  void operator()(const BundleReply& r) const {
    out.u8(r.refused ? 1 : 0);
    out.sized(encode_outcomes(r.outcomes));
  }
  void operator()(const GetReply& r) const {
    out.u64(r.revision);
    out.u64(r.time);
    out.u8(r.entry ? 1 : 0);
    if (r.entry) write(out, *r.entry);
  }
  void operator()(const RangeReply& r) const {
    out.u64(r.time);
    out.u64(r.page.revision);
    out.u8(r.page.more ? 1 : 0);
    out.u16(static_cast<std::uint16_t>(r.page.entries.size()));
    for (const auto& entry : r.page.entries) write(out, entry);
  }
  void operator()(const ChangesReply& r) const {
    out.u64(r.page.up_to);
    out.u32(static_cast<std::uint32_t>(r.page.events.size()));
    for (const auto& event : r.page.events) {
      out.u64(event.revision);
      out.sized(event.key);
      write_optional(out, event.value);
      write_optional(out, event.previous);
    }
  }
  void operator()(const StatusReply& r) const {
    out.u64(r.epoch);
    out.u64(r.view);
    out.u64(r.applied);
    out.u64(r.stable);
    out.u64(r.revision);
    out.u16(r.voters);
    out.u16(r.connected);
    out.u8(r.votes ? 1 : 0);
    out.raw(r.leader);
  }
  void operator()(const CopyReply& r) const { write(out, r.copy); }
  void operator()(const ProveReply& r) const {
    write(out, r.at);
    out.sized(r.proof);
  }
  void operator()(const ProveChangesReply& r) const {
    write(out, r.at);
    out.sized(r.head);
    out.sized(r.events);
  }
};

struct ReplyReader {
  ByteReader& in;
  using What = Result<ReplyKind>;
  What operator()(std::type_identity<OrderReply>) {
    TRY(const auto number, in.u64());
    return OrderReply{number};
  }
  What operator()(std::type_identity<BundleReply>) {
    BundleReply r;
    TRY(r.refused, read_flag(in));
    TRY(const auto outcomes, in.sized(kReplyBytesMax));
    TRY(r.outcomes, decode_outcomes(outcomes));
    return r;
  }
  What operator()(std::type_identity<GetReply>) {
    GetReply r;
    TRY(r.revision, in.u64());
    TRY(r.time, in.u64());
    TRY(const bool there, read_flag(in));
    if (there) {
      TRY(r.entry, read_entry(in));
    }
    return r;
  }
  What operator()(std::type_identity<RangeReply>) {
    RangeReply r;
    TRY(r.time, in.u64());
    TRY(r.page.revision, in.u64());
    TRY(r.page.more, read_flag(in));
    TRY(const auto count, read_count(in, state::kRangeEntriesMax, "entries"));
    for (std::size_t i = 0; i < count; ++i) {
      TRY(auto entry, read_entry(in));
      r.page.entries.push_back(std::move(entry));
    }
    return r;
  }
  What operator()(std::type_identity<ChangesReply>) {
    ChangesReply r;
    TRY(r.page.up_to, in.u64());
    TRY(const auto count, in.u32());
    for (std::size_t i = 0; i < count; ++i) {
      state::Event& event = r.page.events.emplace_back();
      TRY(event.revision, in.u64());
      TRY(event.key, read_text(in, kKeyMax));
      TRY(event.value, read_optional(in));
      TRY(event.previous, read_optional(in));
    }
    return r;
  }
  What operator()(std::type_identity<StatusReply>) {
    StatusReply r;
    TRY(r.epoch, in.u64());
    TRY(r.view, in.u64());
    TRY(r.applied, in.u64());
    TRY(r.stable, in.u64());
    TRY(r.revision, in.u64());
    TRY(r.voters, in.u16());
    TRY(r.connected, in.u16());
    TRY(r.votes, read_flag(in));
    TRY_DO(read_array(in, r.leader));
    return r;
  }
  What operator()(std::type_identity<CopyReply>) {
    CopyReply r;
    TRY_DO(read(in, r.copy));
    return r;
  }
  What operator()(std::type_identity<ProveReply>) {
    ProveReply r;
    TRY(r.at, read_proven(in));
    TRY(r.proof, read_bytes(in, state::kProofBytesMax));
    return r;
  }
  What operator()(std::type_identity<ProveChangesReply>) {
    ProveChangesReply r;
    TRY(r.at, read_proven(in));
    TRY(r.head, read_bytes(in, state::kProofBytesMax));
    TRY(r.events, read_bytes(in, kEventsProvenBytesMax));
    return r;
  }
};

}  // namespace

void write(ByteWriter& out, const Request& request) {
  out.u64(request.id);
  out.u32(request.limit_ms);
  out.u8(static_cast<std::uint8_t>(request.what.index()));
  std::visit(RequestWriter{out}, request.what);
}

Result<Request> decode_request(base::BytesView bytes) {
  ByteReader in(bytes);
  Request request;
  TRY(request.id, in.u64());
  TRY(request.limit_ms, in.u32());
  if (request.limit_ms == 0 || request.limit_ms > kLimitMsMax) {
    return base::fail(Errc::InvalidArgument, fmt::format("a request of {} ms; 1 to {} are allowed",
                                                         request.limit_ms, kLimitMsMax));
  }
  TRY(const auto kind, in.u8());
  RequestReader reader{in};
  TRY(request.what, decode_type<decltype(request.what)>(kind, reader, "a request"));
  TRY_DO(in.end());
  return request;
}

void write(ByteWriter& out, const Reply& reply) {
  out.u64(reply.id);
  out.u8(reply.what ? 0 : 1);
  if (!reply.what) {
    out.u8(static_cast<std::uint8_t>(reply.what.error().code));
    out.sized(std::string_view(reply.what.error().message).substr(0, kErrorBytesMax));
    return;
  }
  out.u8(static_cast<std::uint8_t>(reply.what->index()));
  std::visit(ReplyWriter{out}, *reply.what);
}

Result<Reply> decode_reply(base::BytesView bytes) {
  ByteReader in(bytes);
  Reply reply;
  TRY(reply.id, in.u64());
  TRY(const bool failed, read_flag(in));
  TRY(const auto kind, in.u8());
  if (failed) {
    TRY(auto message, read_text(in, kErrorBytesMax));
    if (kind > static_cast<std::uint8_t>(Errc::NotVerified))
      return base::fail(Errc::DataLoss, fmt::format("a reply with the unknown error {}", kind));
    reply.what = base::fail(static_cast<Errc>(kind), std::move(message));
  } else {
    ReplyReader reader{in};
    TRY(reply.what, decode_type<ReplyKind>(kind, reader, "a reply"));
  }
  TRY_DO(in.end());
  return reply;
}

}  // namespace hypermesh::consensus
