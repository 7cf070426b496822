#include "dns/message.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "dns/name.hpp"

namespace nexus::dns {

using base::Errc;
using base::fail;

namespace {

constexpr std::array<std::pair<Type, std::string_view>, 10> kTypes = {{{Type::A, "A"},
                                                                       {Type::Ns, "NS"},
                                                                       {Type::Cname, "CNAME"},
                                                                       {Type::Soa, "SOA"},
                                                                       {Type::Ptr, "PTR"},
                                                                       {Type::Txt, "TXT"},
                                                                       {Type::Aaaa, "AAAA"},
                                                                       {Type::Srv, "SRV"},
                                                                       {Type::Opt, "OPT"},
                                                                       {Type::Any, "ANY"}}};

constexpr std::uint16_t kFlagResponse = 0x8000, kFlagAuthoritative = 0x0400,
                        kFlagTruncated = 0x0200, kFlagRecursionDesired = 0x0100,
                        kFlagRecursionAvailable = 0x0080;
constexpr int kQueryRecordsMax =
    32;  // A question comes with an OPT record and hardly anything else.

// Skips one record's name and fixed part; `reader` offsets are the message's.
struct RecordHead {
  std::string name;
  std::uint16_t type = 0, dns_class = 0;
  std::uint32_t ttl = 0;
  std::size_t data_offset = 0, data_bytes = 0;
};

base::Result<RecordHead> read_record(base::BytesView message, std::size_t& offset) {
  RecordHead head;
  TRY(head.name, read_name(message, offset));
  base::ByteReader reader(message.subspan(offset));
  TRY(head.type, reader.u16());
  TRY(head.dns_class, reader.u16());
  TRY(head.ttl, reader.u32());
  TRY(const std::uint16_t size, reader.u16());
  TRY_DO(reader.raw(size));
  head.data_offset = offset + 10;
  head.data_bytes = size;
  offset = head.data_offset + size;
  return head;
}

std::string generic_data(base::BytesView data) {
  return fmt::format("\\# {} {}", data.size(), base::to_hex(data));
}

std::string text_strings(base::BytesView data) {
  std::string text;
  while (!data.empty()) {
    const std::size_t length = std::min<std::size_t>(data[0], data.size() - 1);
    if (!text.empty()) text += ' ';
    text += '"';
    for (const std::uint8_t byte : data.subspan(1, length)) {
      if (byte == '"' || byte == '\\') {
        text += '\\';
        text += static_cast<char>(byte);
      } else if (byte < 0x20 || byte >= 0x7f) {
        text += fmt::format("\\{:03}", byte);
      } else {
        text += static_cast<char>(byte);
      }
    }
    text += '"';
    data = data.subspan(length + 1);
  }
  return text;
}

base::Result<std::string> present(base::BytesView message, const RecordHead& head) {
  const base::BytesView data = message.subspan(head.data_offset, head.data_bytes);
  char buffer[INET6_ADDRSTRLEN];
  std::size_t at = head.data_offset;
  base::ByteReader reader(data);
  switch (static_cast<Type>(head.type)) {
    case Type::A:
      if (data.size() != 4) return generic_data(data);
      return std::string(inet_ntop(AF_INET, data.data(), buffer, sizeof buffer));
    case Type::Aaaa:
      if (data.size() != 16) return generic_data(data);
      return std::string(inet_ntop(AF_INET6, data.data(), buffer, sizeof buffer));
    case Type::Ns:
    case Type::Cname:
    case Type::Ptr: {
      TRY(const std::string name, read_name(message, at));
      return to_text(name) + ".";
    }
    case Type::Srv: {
      TRY(const std::uint16_t priority, reader.u16());
      TRY(const std::uint16_t weight, reader.u16());
      TRY(const std::uint16_t port, reader.u16());
      at += 6;
      TRY(const std::string target, read_name(message, at));
      return fmt::format("{} {} {} {}.", priority, weight, port, to_text(target));
    }
    case Type::Soa: {
      TRY(const std::string primary, read_name(message, at));
      TRY(const std::string mailbox, read_name(message, at));
      if (at > message.size())
        return fail(Errc::DataLoss, "an SOA record runs past the end of the message");
      base::ByteReader numbers(message.subspan(at));
      std::string text = fmt::format("{}. {}.", to_text(primary), to_text(mailbox));
      for (int i = 0; i < 5; ++i) {
        TRY(const std::uint32_t number, numbers.u32());
        text += fmt::format(" {}", number);
      }
      return text;
    }
    case Type::Txt:
      return text_strings(data);
    default:
      return generic_data(data);
  }
}

}  // namespace

std::string type_name(std::uint16_t type) {
  for (const auto& [known, name] : kTypes) {
    if (static_cast<std::uint16_t>(known) == type) return std::string(name);
  }
  return fmt::format("TYPE{}", type);
}

base::Result<std::uint16_t> parse_type(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - ('a' - 'A'));
  }
  for (const auto& [known, known_name] : kTypes) {
    if (known_name == upper) return static_cast<std::uint16_t>(known);
  }
  if (upper.starts_with("TYPE")) {
    std::uint16_t number = 0;
    const char* end = upper.data() + upper.size();
    if (const auto [rest, error] = std::from_chars(upper.data() + 4, end, number);
        error == std::errc() && rest == end)
      return number;
  }
  return fail(Errc::InvalidArgument, fmt::format("\"{}\" is not a record type; want A, AAAA, SRV, "
                                                 "PTR, TXT, NS, SOA, CNAME, ANY or TYPE<number>",
                                                 name.substr(0, 40)));
}

ParsedQuery parse_query(base::BytesView message) {
  base::ByteReader reader(message);
  const auto id = reader.u16();
  const auto flags = reader.u16();
  const auto questions = reader.u16(), answers = reader.u16(), authority = reader.u16(),
             additional = reader.u16();
  if (!additional || (*flags & kFlagResponse)) return {};

  Query query;
  query.id = *id;
  query.recursion_desired = (*flags & kFlagRecursionDesired) != 0;
  const auto refuse = [&](Rcode code) { return ParsedQuery{std::move(query), code}; };
  if ((*flags >> 11 & 15) != 0) return refuse(Rcode::NotImp);
  if (*questions != 1) return refuse(Rcode::FormErr);

  std::size_t offset = kHeaderBytes;
  auto name = read_name(message, offset);
  if (!name || offset + 4 > message.size()) return refuse(Rcode::FormErr);
  // A question's name has nothing before it to point to; echoing it needs it whole.
  if (offset - kHeaderBytes != name->size()) return refuse(Rcode::FormErr);
  query.name = std::move(*name);
  query.key = lower_case(query.name);
  base::ByteReader fixed(message.subspan(offset));
  query.type = *fixed.u16();
  query.dns_class = *fixed.u16();
  offset += 4;
  query.question_bytes = offset - kHeaderBytes;

  const int records = *answers + *authority + *additional;
  if (records > kQueryRecordsMax) return refuse(Rcode::FormErr);
  for (int i = 0; i < records; ++i) {
    const auto record = read_record(message, offset);
    if (!record) return refuse(Rcode::FormErr);
    if (record->type != static_cast<std::uint16_t>(Type::Opt)) continue;
    if (query.edns || record->name.size() != 1 || i < *answers + *authority)
      return refuse(Rcode::FormErr);
    query.edns = Query::Edns{record->dns_class, static_cast<std::uint8_t>(record->ttl >> 16),
                             (record->ttl & 0x8000) != 0};
  }
  if (query.edns && query.edns->version != 0) return refuse(Rcode::BadVers);
  return {std::move(query), std::nullopt};
}

base::Bytes build_query(std::uint16_t id, const std::string& wire_name, std::uint16_t type) {
  base::ByteWriter writer;
  writer.u16(id);
  writer.u16(kFlagRecursionDesired);
  writer.u16(1);
  writer.u16(0);
  writer.u16(0);
  writer.u16(1);
  writer.raw(base::as_bytes(wire_name));
  writer.u16(type);
  writer.u16(1);
  writer.u8(0);
  writer.u16(static_cast<std::uint16_t>(Type::Opt));
  writer.u16(kUdpBytesMax);
  writer.u32(0);
  writer.u16(0);
  return std::move(writer).take();
}

base::Result<Response> parse_response(base::BytesView message) {
  base::ByteReader reader(message);
  Response response;
  TRY(response.id, reader.u16());
  TRY(const std::uint16_t flags, reader.u16());
  TRY(const std::uint16_t questions, reader.u16());
  TRY(const std::uint16_t answers, reader.u16());
  TRY(const std::uint16_t authority, reader.u16());
  TRY(const std::uint16_t additional, reader.u16());
  if (!(flags & kFlagResponse))
    return fail(Errc::DataLoss, "the message is a question, not an answer");
  if (questions + answers + authority + additional > static_cast<int>(kRecordsMax)) {
    return fail(Errc::DataLoss, fmt::format("the message names more than {} records", kRecordsMax));
  }
  response.rcode = static_cast<Rcode>(flags & 15);
  response.authoritative = flags & kFlagAuthoritative;
  response.truncated = flags & kFlagTruncated;
  response.recursion_available = flags & kFlagRecursionAvailable;
  std::size_t offset = kHeaderBytes;
  for (int i = 0; i < questions; ++i) {
    TRY_DO(read_name(message, offset));
    offset += 4;
    if (offset > message.size())
      return fail(Errc::DataLoss, "a question runs past the end of the message");
  }
  const std::pair<std::vector<ResourceRecord>*, int> sections[] = {
      {&response.answers, answers},
      {&response.authority, authority},
      {&response.additional, additional}};
  for (const auto& [records, count] : sections) {
    for (int i = 0; i < count; ++i) {
      TRY(RecordHead head, read_record(message, offset));
      if (head.type == static_cast<std::uint16_t>(Type::Opt)) continue;
      TRY(std::string data, present(message, head));
      records->push_back(
          {std::move(head.name), head.type, head.dns_class, head.ttl, std::move(data)});
    }
  }
  return response;
}

base::Result<std::vector<AliasRecord>> read_alias_records(base::BytesView message) {
  base::ByteReader reader(message);
  TRY_DO(reader.u32());
  TRY(const std::uint16_t questions, reader.u16());
  TRY(const std::uint16_t answers, reader.u16());
  std::size_t offset = kHeaderBytes;
  for (int i = 0; i < questions; ++i) {
    TRY_DO(read_name(message, offset));
    offset += 4;
    if (offset > message.size())
      return fail(Errc::DataLoss, "a question runs past the end of the message");
  }
  std::vector<AliasRecord> records;
  for (int i = 0; i < answers && records.size() < kAliasRecordsMax; ++i) {
    TRY(RecordHead head, read_record(message, offset));
    AliasRecord record{std::move(head.name), head.type, head.ttl, {}};
    const auto data = message.subspan(head.data_offset, head.data_bytes);
    const auto type = static_cast<Type>(head.type);
    if (type == Type::Cname) {
      std::size_t at = head.data_offset;
      TRY(record.data, read_name(message, at));
    } else if ((type == Type::A && data.size() == 4) || (type == Type::Aaaa && data.size() == 16)) {
      record.data = base::as_text(data);
    } else {
      continue;
    }
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace nexus::dns
