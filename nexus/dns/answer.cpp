#include "dns/answer.hpp"

#include <algorithm>
#include <cstring>

#include "dns/name.hpp"

namespace nexus::dns {
namespace {

constexpr std::uint16_t kClassIn = 1, kClassAny = 255;
constexpr std::uint16_t kPointerToQuestion = 0xc000 | kHeaderBytes;
constexpr std::size_t kOptBytes = 11;
constexpr int kAliasHopsMax = 8;

// Writes into fixed memory; remembers when something did not fit.
class Output {
 public:
  Output(std::span<std::uint8_t> out, std::size_t limit)
      : out_(out), limit_(std::min(limit, out.size())) {}
  void u8(std::uint8_t value) {
    if (room(1)) out_[used_++] = value;
  }
  void u16(std::uint16_t value) {
    if (!room(2)) return;
    out_[used_++] = static_cast<std::uint8_t>(value >> 8);
    out_[used_++] = static_cast<std::uint8_t>(value);
  }
  void u32(std::uint32_t value) {
    u16(static_cast<std::uint16_t>(value >> 16));
    u16(static_cast<std::uint16_t>(value));
  }
  void bytes(const void* from, std::size_t count) {
    if (!room(count)) return;
    std::memcpy(out_.data() + used_, from, count);
    used_ += count;
  }
  void text(std::string_view text) { bytes(text.data(), text.size()); }
  void set_u16(std::size_t at, std::uint16_t value) {
    out_[at] = static_cast<std::uint8_t>(value >> 8);
    out_[at + 1] = static_cast<std::uint8_t>(value);
  }
  void raise_limit(std::size_t count) { limit_ = std::min(limit_ + count, out_.size()); }
  bool overflowed() const { return overflowed_; }
  std::size_t used() const { return used_; }
  void back_to(std::size_t used) {
    used_ = used;
    overflowed_ = false;
  }

 private:
  bool room(std::size_t count) {
    overflowed_ = overflowed_ || used_ + count > limit_;
    return !overflowed_;
  }
  std::span<std::uint8_t> out_;
  std::size_t limit_;
  std::size_t used_ = 0;
  bool overflowed_ = false;
};

struct Counts {
  std::uint16_t answers = 0, authority = 0, additional = 0;
};

// Records of a set; the owner is a pointer to the question, or a name.
std::uint16_t write_set(Output& out, const RecordSet& set, std::uint16_t owner_pointer,
                        std::string_view owner, std::uint32_t rotation) {
  const std::size_t count = set.data.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& data = set.data[(i + rotation) % count];
    if (owner_pointer) {
      out.u16(owner_pointer);
    } else {
      out.text(owner);
    }
    out.u16(static_cast<std::uint16_t>(set.type));
    out.u16(kClassIn);
    out.u32(set.ttl_seconds);
    out.u16(static_cast<std::uint16_t>(data.size()));
    out.text(data);
  }
  return static_cast<std::uint16_t>(count);
}

const RecordSet* set_of(const std::vector<RecordSet>& sets, Type type) {
  const auto found = std::ranges::find(sets, type, &RecordSet::type);
  return found == sets.end() ? nullptr : &*found;
}

constexpr std::uint8_t kRecursionAvailable = 0x80;  // In the header's fourth byte.

class Responder {
 public:
  Responder(const Zone& zone, const Query& query, base::BytesView message, std::uint32_t rotation,
            Output& out)
      : zone_(zone), query_(query), message_(message), rotation_(rotation), out_(out) {}

  Rcode run(std::optional<Rcode> refuse, bool& elsewhere) {
    Rcode rcode = refuse.value_or(Rcode::NoError);
    header();
    const std::size_t after_question = out_.used();
    if (!refuse) rcode = fill(elsewhere);
    bool truncated = false;
    if (out_.overflowed()) {
      // Additional records are a courtesy: first try without them.
      out_.back_to(after_question);
      counts_ = {};
      without_additional_ = true;
      if (!refuse) rcode = fill(elsewhere);
      if (out_.overflowed()) {
        out_.back_to(after_question);
        counts_ = {};
        truncated = true;
      }
    }
    if (query_.edns) opt(rcode);
    std::uint16_t flags = 0x8000;
    if (authoritative_) flags |= 0x0400;
    if (truncated) flags |= 0x0200;
    if (query_.recursion_desired) flags |= 0x0100;
    flags |= static_cast<std::uint16_t>(rcode) & 15;
    out_.set_u16(2, flags);
    out_.set_u16(4, query_.question_bytes > 0 ? 1 : 0);
    out_.set_u16(6, counts_.answers);
    out_.set_u16(8, counts_.authority);
    out_.set_u16(10, counts_.additional);
    return rcode;
  }

  std::string take_alias() { return std::move(alias_); }

 private:
  void header() {
    out_.u16(query_.id);
    for (int i = 0; i < 5; ++i) out_.u16(0);
    // The question is echoed byte for byte: the client's own spelling comes back (0x20).
    out_.bytes(message_.data() + kHeaderBytes, query_.question_bytes);
  }

  Rcode fill(bool& elsewhere) {
    elsewhere = false;
    alias_.clear();
    if (query_.dns_class != kClassIn && query_.dns_class != kClassAny) return Rcode::Refused;
    const std::string* apex = zone_.apex_of(query_.key);
    if (!apex) {
      elsewhere = true;
      return Rcode::Refused;
    }
    authoritative_ = true;
    const auto* sets = zone_.find(query_.key);
    if (!sets) {
      negative(*apex);
      return Rcode::NxDomain;
    }
    const RecordSet* set = nullptr;
    if (query_.type == static_cast<std::uint16_t>(Type::Any)) {
      // One set says enough; all of them would serve amplification (RFC 8482 section 4.1).
      if (!sets->empty()) set = &sets->front();
    } else {
      set = set_of(*sets, static_cast<Type>(query_.type));
      if (!set) set = set_of(*sets, Type::Cname);
    }
    if (!set) {
      negative(*apex);
      return Rcode::NoError;
    }
    counts_.answers = write_set(out_, *set, kPointerToQuestion, {}, rotation_);
    if (set->type == Type::Cname && query_.type != static_cast<std::uint16_t>(Type::Cname))
      follow(*set);
    if (!without_additional_) additional(*set);
    return Rcode::NoError;
  }

  // What an alias leads to belongs into the answer (RFC 1034 section 4.3.2); resolvers in pods ask
  // only once.
  void follow(const RecordSet& alias) {
    std::string target = alias.data.front();
    for (int hop = 0; hop < kAliasHopsMax; ++hop) {
      const std::string key = lower_case(target);
      if (!zone_.apex_of(key)) {
        alias_ = std::move(target);
        return;
      }
      const auto* sets = zone_.find(key);
      if (!sets) return;
      const RecordSet* set = set_of(*sets, static_cast<Type>(query_.type));
      const RecordSet* next = set ? nullptr : set_of(*sets, Type::Cname);
      if (!set && !next) return;
      counts_.answers = static_cast<std::uint16_t>(
          counts_.answers + write_set(out_, set ? *set : *next, 0, target, rotation_));
      if (set) return;
      target = next->data.front();
    }
  }

  void additional(const RecordSet& set) {
    for (const std::string& target : set.targets) {
      const auto* sets = zone_.find(target);
      if (!sets) continue;
      for (const Type type : {Type::Aaaa, Type::A}) {
        if (const RecordSet* addresses = set_of(*sets, type)) {
          counts_.additional = static_cast<std::uint16_t>(
              counts_.additional + write_set(out_, *addresses, 0, target, 0));
        }
      }
    }
  }

  void negative(const std::string& apex) {
    const auto pointer =
        static_cast<std::uint16_t>(0xc000 | (kHeaderBytes + query_.key.size() - apex.size()));
    counts_.authority = write_set(out_, zone_.soa(apex), pointer, {}, 0);
  }

  void opt(Rcode rcode) {
    out_.raise_limit(kOptBytes);
    out_.u8(0);
    out_.u16(static_cast<std::uint16_t>(Type::Opt));
    out_.u16(kUdpBytesMax);
    out_.u8(static_cast<std::uint8_t>(static_cast<unsigned>(rcode) >> 4));
    out_.u8(0);
    out_.u16(0);
    out_.u16(0);
    ++counts_.additional;
  }

  const Zone& zone_;
  const Query& query_;
  base::BytesView message_;
  std::uint32_t rotation_;
  Output& out_;
  Counts counts_;
  bool authoritative_ = false;
  bool without_additional_ = false;
  std::string alias_;
};

}  // namespace

Answer answer(const Zone& zone, base::BytesView message, bool over_tcp, std::uint32_t rotation,
              std::span<std::uint8_t> out, bool forwards) {
  const ParsedQuery parsed = parse_query(message);
  if (!parsed.query) return {};
  const Query& query = *parsed.query;
  std::size_t limit = kTcpBytesMax;
  if (!over_tcp) {
    limit = query.edns ? std::clamp<std::size_t>(query.edns->udp_bytes_max, kPlainUdpBytesMax,
                                                 kUdpBytesMax)
                       : kPlainUdpBytesMax;
  }
  BASE_ASSERT(out.size() >= kPlainUdpBytesMax, "an answer needs room for the question at least");
  // Room for the OPT record is kept aside, so that it always fits.
  limit = std::min(limit, out.size());
  Output output(out, query.edns ? limit - kOptBytes : limit);
  bool elsewhere = false;
  Answer result;
  result.disposition = Disposition::Answered;
  Responder responder(zone, query, message, rotation, output);
  result.rcode = responder.run(parsed.refuse, elsewhere);
  result.alias = responder.take_alias();
  if (elsewhere) result.disposition = Disposition::Elsewhere;
  result.bytes = output.used();
  if (forwards) out[3] |= kRecursionAvailable;
  return result;
}

bool append_alias_records(base::Bytes& reply, base::BytesView from_elsewhere, std::size_t limit) {
  const auto records = read_alias_records(from_elsewhere);
  if (!records || records->empty() || reply.size() < kHeaderBytes) return false;
  // An alias has no additional records but the OPT record, which stays the last.
  const std::size_t opt_bytes = reply[11] != 0 ? kOptBytes : 0;
  base::ByteWriter more;
  for (const AliasRecord& record : *records) {
    more.raw(base::as_bytes(record.name));
    more.u16(record.type);
    more.u16(kClassIn);
    more.u32(record.ttl_seconds);
    more.u16(static_cast<std::uint16_t>(record.data.size()));
    more.raw(base::as_bytes(record.data));
  }
  if (reply.size() + more.view().size() > limit) return false;
  reply.insert(reply.end() - static_cast<std::ptrdiff_t>(opt_bytes), more.view().begin(),
               more.view().end());
  const std::size_t answers = (reply[6] << 8 | reply[7]) + records->size();
  reply[6] = static_cast<std::uint8_t>(answers >> 8);
  reply[7] = static_cast<std::uint8_t>(answers);
  return true;
}

}  // namespace nexus::dns
