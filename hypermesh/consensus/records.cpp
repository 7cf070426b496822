#include "consensus/records.hpp"

#include <fmt/format.h>

#include "consensus/wire.hpp"

namespace hypermesh::consensus {

using base::ByteReader;
using base::ByteWriter;
using base::Errc;
using base::Result;

namespace {

void write(ByteWriter& out, const EpochBegun& r) {
  out.sized(encode(r.voters));
  out.u64(r.start);
  out.raw(r.start_digest);
}
void write(ByteWriter& out, const ViewWanted& r) {
  out.u64(r.epoch);
  out.u64(r.view);
  write(out, r.claim);
  write_held(out, r.held);
}
void write(ByteWriter& out, const ViewBegun& r) {
  out.u64(r.epoch);
  out.u64(r.view);
  write(out, r.base);
  out.u8(r.proof ? 1 : 0);
  if (r.proof) write(out, *r.proof);
}
void write(ByteWriter& out, const Reserved& r) {
  out.u64(r.epoch);
  out.u64(r.view);
  out.u64(r.slot);
}
void write(ByteWriter& out, const Body& r) {
  write(out, r.link->block);
}
void write(ByteWriter& out, const Accepted& r) {
  out.u64(r.epoch);
  out.u64(r.view);
  out.u64(r.slot);
  out.raw(r.digest);
}
void write(ByteWriter& out, const Certified& r) {
  consensus::write(out, r.certificate);
}
void write(ByteWriter& out, const EpochEnded& r) {
  consensus::write(out, r.end);
}
void write(ByteWriter&, const Silenced&) {}

struct Decoder {
  const ClusterId& cluster;
  ByteReader& in;

  Result<Record> operator()(std::type_identity<EpochBegun>) {
    EpochBegun r;
    TRY(const auto voters, in.sized(kVotersBytesMax));
    TRY(r.voters, decode_voters(voters));
    TRY(r.start, in.u64());
    TRY_DO(read_array(in, r.start_digest));
    return r;
  }
  Result<Record> operator()(std::type_identity<ViewWanted>) {
    ViewWanted r;
    TRY(r.epoch, in.u64());
    TRY(r.view, in.u64());
    TRY_DO(read(in, r.claim));
    TRY(r.held, read_held(in));
    return r;
  }
  Result<Record> operator()(std::type_identity<ViewBegun>) {
    ViewBegun r;
    TRY(r.epoch, in.u64());
    TRY(r.view, in.u64());
    TRY_DO(read(in, r.base));
    TRY(const bool proved, read_flag(in));
    if (proved) {
      TRY(auto proof, read_new_view(in));
      r.proof = std::move(proof);
    }
    return r;
  }
  Result<Record> operator()(std::type_identity<Reserved>) {
    Reserved r;
    TRY(r.epoch, in.u64());
    TRY(r.view, in.u64());
    TRY(r.slot, in.u64());
    return r;
  }
  Result<Record> operator()(std::type_identity<Body>) {
    TRY(auto block, read_block(in));
    return Body{make_link(cluster, std::move(block))};
  }
  Result<Record> operator()(std::type_identity<Accepted>) {
    Accepted r;
    TRY(r.epoch, in.u64());
    TRY(r.view, in.u64());
    TRY(r.slot, in.u64());
    TRY_DO(read_array(in, r.digest));
    return r;
  }
  Result<Record> operator()(std::type_identity<Certified>) {
    TRY(auto certificate, read_certificate(in));
    return Certified{std::move(certificate)};
  }
  Result<Record> operator()(std::type_identity<StableCheckpoint>) {
    StableCheckpoint r;
    TRY_DO(read(in, r));
    return r;
  }
  Result<Record> operator()(std::type_identity<EpochEnded>) {
    EpochEnded r;
    TRY_DO(read(in, r.end));
    return r;
  }
  Result<Record> operator()(std::type_identity<Silenced>) { return Silenced{}; }
};

}  // namespace

base::Bytes encode(const Record& record, Version version) {
  ByteWriter out(256);
  out.u8(version);
  out.u8(static_cast<std::uint8_t>(record.index()));
  std::visit([&](const auto& r) { write(out, r); }, record);
  return std::move(out).take();
}

Result<Record> decode_record(const ClusterId& cluster, base::BytesView bytes,
                             const Versions& known) {
  ByteReader in(bytes);
  TRY_DO(read_version(in, known, "a record"));
  TRY(const auto type, in.u8());
  Decoder decoder{cluster, in};
  TRY(auto record, decode_type<Record>(type, decoder, "a record"));
  TRY_DO(in.end());
  return record;
}

}  // namespace hypermesh::consensus
