#include <fmt/format.h>

#include <algorithm>

#include "consensus/messages.hpp"
#include "consensus/wire.hpp"

// Messages as bytes: a version, a type, then the fields in their order.

namespace hypermesh::consensus {

using base::ByteReader;
using base::ByteWriter;
using base::Errc;
using base::Result;

namespace {

constexpr std::size_t kLinksMax = 4096;
constexpr std::size_t kUsualBytes = 256;

void write(ByteWriter& out, const Statement& statement) {
  out.u8(static_cast<std::uint8_t>(statement.phase));
  out.u64(statement.epoch);
  out.u64(statement.view);
  out.u64(statement.slot);
  out.raw(statement.digest);
}
Result<> read(ByteReader& in, Statement& statement) {
  TRY(const auto phase, in.u8());
  if (phase < static_cast<std::uint8_t>(Phase::Prepare) ||
      phase > static_cast<std::uint8_t>(Phase::Hold)) {
    return base::fail(Errc::DataLoss, fmt::format("a statement of the unknown phase {}", phase));
  }
  statement.phase = static_cast<Phase>(phase);
  TRY(statement.epoch, in.u64());
  TRY(statement.view, in.u64());
  TRY(statement.slot, in.u64());
  return read_array(in, statement.digest);
}

void write(ByteWriter& out, const Wish& wish) {
  out.u16(wish.replica);
  write(out, wish.claim);
  write_held(out, wish.held);
  out.raw(wish.signature);
}
Result<> read(ByteReader& in, Wish& wish) {
  TRY(wish.replica, in.u16());
  TRY_DO(read(in, wish.claim));
  TRY(wish.held, read_held(in));
  return read_array(in, wish.signature);
}

void write_optional(ByteWriter& out, const std::optional<Certificate>& certificate) {
  out.u8(certificate ? 1 : 0);
  if (certificate) write(out, *certificate);
}
Result<std::optional<Certificate>> read_optional(ByteReader& in) {
  TRY(const bool there, read_flag(in));
  if (!there) return std::nullopt;
  return read_certificate(in);
}

Result<LinkPtr> read_link(const ClusterId& cluster, ByteReader& in) {
  TRY(auto block, read_block(in));
  return make_link(cluster, std::move(block));
}
void write_links(ByteWriter& out, const std::vector<LinkPtr>& links) {
  out.u16(static_cast<std::uint16_t>(links.size()));
  for (const auto& link : links) write(out, link->block);
}
Result<std::vector<LinkPtr>> read_links(const ClusterId& cluster, ByteReader& in) {
  TRY(const auto count, read_count(in, kLinksMax, "blocks"));
  std::vector<LinkPtr> links;
  for (std::size_t i = 0; i < count; ++i) {
    TRY(auto link, read_link(cluster, in));
    links.push_back(std::move(link));
  }
  return links;
}

// --- what each type of message has ---

void write(ByteWriter& out, const Proposal& m) {
  out.u64(m.epoch);
  out.u64(m.view);
  out.raw(m.signature);
  out.u8(m.fast ? 1 : 0);
  write(out, m.link->block);
}
void write(ByteWriter& out, const ViewChange& m) {
  out.u64(m.epoch);
  out.u64(m.view);
  write(out, m.wish);
  write_optional(out, m.proof);
}
void write(ByteWriter& out, const Status& m) {
  out.u64(m.epoch);
  out.u64(m.view);
  out.u8(m.changing ? 1 : 0);
  out.u64(m.committed);
  out.u64(m.accepted);
  out.u64(m.stable);
  out.u64(m.proven);
}
void write(ByteWriter& out, const Committed& m) {
  write(out, m.certificate);
  write_links(out, m.links);
}
void write(ByteWriter& out, const Fetch& m) {
  out.raw(m.digest);
  out.u64(m.slot);
  out.u64(m.above);
}
void write(ByteWriter& out, const Fetched& m) {
  write_links(out, m.links);
}
void write(ByteWriter& out, const ReadAsk& m) {
  out.u64(m.epoch);
  out.u64(m.round);
}
void write(ByteWriter& out, const ReadAnswer& m) {
  out.u64(m.epoch);
  out.u64(m.round);
  out.u64(m.slot);
  out.u64(m.held);
}
void write(ByteWriter& out, const Decided& m) {
  write(out, m.certificate);
}
void write(ByteWriter& out, const VoteOpenly& m) {
  out.u64(m.epoch);
  out.u64(m.view);
  out.u64(m.slot);
}
void write(ByteWriter& out, const Submit& m) {
  write(out, *m.bundle);
}
void write(ByteWriter& out, const Evidence& m) {
  write(out, m.first);
  write(out, m.second);
}
void write(ByteWriter& out, const Epochs& m) {
  out.u16(static_cast<std::uint16_t>(m.ends.size()));
  for (const auto& end : m.ends) write(out, end);
  out.u8(m.newest ? 1 : 0);
  if (m.newest) write(out, *m.newest);
}

struct Decoder {
  const ClusterId& cluster;
  ByteReader& in;

  Result<Message> operator()(std::type_identity<Proposal>) {
    Proposal m;
    TRY(m.epoch, in.u64());
    TRY(m.view, in.u64());
    TRY_DO(read_array(in, m.signature));
    TRY(m.fast, read_flag(in));
    TRY(m.link, read_link(cluster, in));
    return m;
  }
  Result<Message> operator()(std::type_identity<Vote>) {
    Vote m;
    TRY_DO(read(in, m));
    return m;
  }
  Result<Message> operator()(std::type_identity<ViewChange>) {
    ViewChange m;
    TRY(m.epoch, in.u64());
    TRY(m.view, in.u64());
    TRY_DO(read(in, m.wish));
    TRY(m.proof, read_optional(in));
    return m;
  }
  Result<Message> operator()(std::type_identity<NewView>) {
    TRY(auto m, read_new_view(in));
    return m;
  }
  Result<Message> operator()(std::type_identity<Status>) {
    Status m;
    TRY(m.epoch, in.u64());
    TRY(m.view, in.u64());
    TRY(m.changing, read_flag(in));
    TRY(m.committed, in.u64());
    TRY(m.accepted, in.u64());
    TRY(m.stable, in.u64());
    TRY(m.proven, in.u64());
    return m;
  }
  Result<Message> operator()(std::type_identity<Committed>) {
    Committed m;
    TRY(m.certificate, read_certificate(in));
    TRY(m.links, read_links(cluster, in));
    return m;
  }
  Result<Message> operator()(std::type_identity<StableCheckpoint>) {
    StableCheckpoint m;
    TRY_DO(read(in, m));
    return m;
  }
  Result<Message> operator()(std::type_identity<Fetch>) {
    Fetch m;
    TRY_DO(read_array(in, m.digest));
    TRY(m.slot, in.u64());
    TRY(m.above, in.u64());
    return m;
  }
  Result<Message> operator()(std::type_identity<Fetched>) {
    Fetched m;
    TRY(m.links, read_links(cluster, in));
    return m;
  }
  Result<Message> operator()(std::type_identity<Submit>) {
    Submit m;
    TRY(m.bundle, read_bundle(in));
    return m;
  }
  Result<Message> operator()(std::type_identity<Evidence>) {
    Evidence m;
    TRY_DO(read(in, m.first));
    TRY_DO(read(in, m.second));
    return m;
  }
  Result<Message> operator()(std::type_identity<Epochs>) {
    Epochs m;
    TRY(const auto count, read_count(in, kEndsPerMessageMax, "ends of epochs"));
    m.ends.resize(count);
    for (auto& end : m.ends) TRY_DO(read(in, end));
    TRY(const bool newest, read_flag(in));
    if (newest) TRY_DO(read(in, m.newest.emplace()));
    return m;
  }
  Result<Message> operator()(std::type_identity<ReadAsk>) {
    ReadAsk m;
    TRY(m.epoch, in.u64());
    TRY(m.round, in.u64());
    return m;
  }
  Result<Message> operator()(std::type_identity<ReadAnswer>) {
    ReadAnswer m;
    TRY(m.epoch, in.u64());
    TRY(m.round, in.u64());
    TRY(m.slot, in.u64());
    TRY(m.held, in.u64());
    return m;
  }
  Result<Message> operator()(std::type_identity<Decided>) {
    Decided m;
    TRY(m.certificate, read_certificate(in));
    return m;
  }
  Result<Message> operator()(std::type_identity<VoteOpenly>) {
    VoteOpenly m;
    TRY(m.epoch, in.u64());
    TRY(m.view, in.u64());
    TRY(m.slot, in.u64());
    return m;
  }
};

}  // namespace

Statement statement_of(Epoch epoch, View view, const Claim& claim,
                       const std::vector<base::Digest>& held) {
  base::ByteWriter out;
  out.raw(base::as_bytes("hypermesh claim 1"));
  write(out, claim);
  write_held(out, held);
  return {Phase::ViewChange, epoch, view, claim.slot, base::sha256(out.view())};
}

base::Digest checkpoint_digest(const StableCheckpoint& checkpoint) {
  base::ByteWriter out;
  out.raw(base::as_bytes("hypermesh checkpoint 1"));
  out.raw(checkpoint.root);
  out.raw(checkpoint.block);
  if (checkpoint.next) out.raw(encode(*checkpoint.next));
  return base::sha256(out.view());
}

Result<> check_statement(const StableCheckpoint& checkpoint) {
  const Statement& said = checkpoint.certificate.statement;
  if (said.phase != Phase::Checkpoint || said.digest != checkpoint_digest(checkpoint))
    return base::fail(Errc::NotVerified, "a checkpoint whose signatures are of something else");
  if (!checkpoint.next || checkpoint.next->epoch == said.epoch + 1) return {};
  return base::fail(Errc::NotVerified, fmt::format("a checkpoint of epoch {} that names epoch {}",
                                                   said.epoch, checkpoint.next->epoch));
}

void write(ByteWriter& out, const Vote& vote) {
  write(out, vote.statement);
  out.u16(vote.replica);
  out.raw(vote.signature);
}
Result<> read(ByteReader& in, Vote& vote) {
  TRY_DO(read(in, vote.statement));
  TRY(vote.replica, in.u16());
  return read_array(in, vote.signature);
}

void write(ByteWriter& out, const Claim& claim) {
  out.u64(claim.view);
  out.u64(claim.slot);
  out.raw(claim.digest);
}
Result<> read(ByteReader& in, Claim& claim) {
  TRY(claim.view, in.u64());
  TRY(claim.slot, in.u64());
  return read_array(in, claim.digest);
}

void write_held(ByteWriter& out, const std::vector<base::Digest>& held) {
  out.u16(static_cast<std::uint16_t>(held.size()));
  for (const auto& digest : held) out.raw(digest);
}
Result<std::vector<base::Digest>> read_held(ByteReader& in) {
  TRY(const auto count, read_count(in, kHeldMax, "blocks held"));
  std::vector<base::Digest> held(count);
  for (auto& digest : held) TRY_DO(read_array(in, digest));
  return held;
}

void write(ByteWriter& out, const NewView& message) {
  out.u64(message.epoch);
  out.u64(message.view);
  out.u16(static_cast<std::uint16_t>(message.wishes.size()));
  for (const auto& wish : message.wishes) write(out, wish);
  write_optional(out, message.proof);
}
Result<NewView> read_new_view(ByteReader& in) {
  NewView message;
  TRY(message.epoch, in.u64());
  TRY(message.view, in.u64());
  TRY(const auto count, read_count(in, kVotersMax, "wishes"));
  if (count == 0) return base::fail(Errc::DataLoss, "a new view that nobody wants");
  message.wishes.resize(count);
  for (auto& wish : message.wishes) TRY_DO(read(in, wish));
  TRY(message.proof, read_optional(in));
  return message;
}

void write(ByteWriter& out, const StableCheckpoint& message) {
  write(out, message.certificate);
  out.raw(message.root);
  out.raw(message.block);
  out.u8(message.next ? 1 : 0);
  if (message.next) out.sized(encode(*message.next));
}
Result<> read(ByteReader& in, StableCheckpoint& message) {
  TRY(message.certificate, read_certificate(in));
  TRY_DO(read_array(in, message.root));
  TRY_DO(read_array(in, message.block));
  TRY(const bool ends, read_flag(in));
  if (!ends) return {};
  TRY(const auto voters, in.sized(kVotersBytesMax));
  TRY(message.next, decode_voters(voters));
  return {};
}

void write(ByteWriter& out, const Certificate& certificate) {
  write(out, certificate.statement);
  out.u16(static_cast<std::uint16_t>(certificate.signatures.size()));
  for (const auto& [replica, signature] : certificate.signatures) {
    out.u16(replica);
    out.raw(signature);
  }
}

Result<Certificate> read_certificate(ByteReader& in) {
  Certificate certificate;
  TRY_DO(read(in, certificate.statement));
  TRY(const auto count, read_count(in, kVotersMax, "signatures"));
  certificate.signatures.resize(count);
  for (auto& [replica, signature] : certificate.signatures) {
    TRY(replica, in.u16());
    TRY_DO(read_array(in, signature));
  }
  return certificate;
}

base::Bytes encode(const Message& message, Version version) {
  ByteWriter out(kUsualBytes);
  out.u8(version);
  out.u8(static_cast<std::uint8_t>(message.index()));
  std::visit([&](const auto& m) { write(out, m); }, message);
  return std::move(out).take();
}

Result<Message> decode(const ClusterId& cluster, base::BytesView bytes, const Versions& known) {
  if (bytes.size() > kMessageBytesMax) {
    return base::fail(Errc::DataLoss, fmt::format("a message of {} bytes; {} are allowed",
                                                  bytes.size(), kMessageBytesMax));
  }
  ByteReader in(bytes);
  TRY_DO(read_version(in, known, "a message"));
  TRY(const auto type, in.u8());
  Decoder decoder{cluster, in};
  TRY(auto message, decode_type<Message>(type, decoder, "a message"));
  TRY_DO(in.end());
  return message;
}

}  // namespace hypermesh::consensus
