#include "dns/answer_cache.hpp"

#include <algorithm>

#include "dns/message.hpp"
#include "dns/name.hpp"

namespace nexus::dns {
namespace {

// Where a record's fields lie.
struct Record {
  std::uint16_t type = 0;
  std::uint32_t ttl = 0;
  std::size_t ttl_offset = 0, data_offset = 0, data_bytes = 0;
};

struct Counts {
  std::uint16_t questions = 0, answers = 0, authority = 0, additional = 0;
};

base::Result<Counts> read_counts(base::BytesView message) {
  base::ByteReader reader(message);
  TRY_DO(reader.u32());
  Counts counts;
  TRY(counts.questions, reader.u16());
  TRY(counts.answers, reader.u16());
  TRY(counts.authority, reader.u16());
  TRY(counts.additional, reader.u16());
  return counts;
}

base::Result<std::size_t> after_question(base::BytesView message, const Counts& counts) {
  std::size_t offset = kHeaderBytes;
  for (int i = 0; i < counts.questions; ++i) {
    TRY_DO(read_name(message, offset));
    offset += 4;
    if (offset > message.size())
      return base::fail(base::Errc::DataLoss, "a question runs past the end of the message");
  }
  return offset;
}

base::Result<Record> next_record(base::BytesView message, std::size_t& offset) {
  TRY_DO(read_name(message, offset));
  base::ByteReader reader(message.subspan(offset));
  Record record;
  TRY(record.type, reader.u16());
  TRY_DO(reader.u16());
  record.ttl_offset = offset + 4;
  TRY(record.ttl, reader.u32());
  TRY(const std::uint16_t size, reader.u16());
  TRY_DO(reader.raw(size));
  record.data_offset = offset + 10;
  record.data_bytes = size;
  offset = record.data_offset + size;
  return record;
}

// The question's key and all that an answer depends on besides: flags, EDNS, DNSSEC wanted.
std::string cache_key(base::BytesView question) {
  const ParsedQuery parsed = parse_query(question);
  if (!parsed.query || parsed.refuse) return {};
  std::string key = question_key(question);
  key += static_cast<char>(question[2] & 0x01);  // recursion desired
  key += static_cast<char>(question[3] & 0x30);  // authentic data, checking disabled
  const auto& edns = parsed.query->edns;
  key += static_cast<char>(!edns ? 0 : edns->dnssec_ok ? 2 : 1);
  return key;
}

}  // namespace

std::string question_key(base::BytesView message) {
  std::size_t offset = kHeaderBytes;
  if (message.size() < kHeaderBytes) return {};
  const auto name = read_name(message, offset);
  if (!name || offset + 4 > message.size()) return {};
  return lower_case(*name) + std::string(base::as_text(message.subspan(offset, 4)));
}

std::optional<std::uint32_t> seconds_to_keep(base::BytesView answer) {
  const auto counts = read_counts(answer);
  if (!counts || (answer[2] & 0x02) != 0) return std::nullopt;
  const auto rcode = static_cast<Rcode>(answer[3] & 15);
  if (rcode != Rcode::NoError && rcode != Rcode::NxDomain) return std::nullopt;
  auto offset = after_question(answer, *counts);
  if (!offset) return std::nullopt;
  const bool negative = counts->answers == 0 || rcode == Rcode::NxDomain;
  std::optional<std::uint32_t> seconds;
  const auto at_most = [&seconds](std::uint32_t limit) {
    seconds = std::min(seconds.value_or(limit), limit);
  };
  for (int i = 0; i < counts->answers + counts->authority; ++i) {
    const auto record = next_record(answer, *offset);
    if (!record) return std::nullopt;
    if (i < counts->answers) at_most(record->ttl);
    // The last number of an SOA says how long nothing may be kept (RFC 2308 section 5).
    if (negative && i >= counts->answers && record->type == static_cast<std::uint16_t>(Type::Soa) &&
        record->data_bytes >= 4) {
      base::ByteReader reader(answer.subspan(record->data_offset + record->data_bytes - 4, 4));
      at_most(std::min({record->ttl, *reader.u32(), AnswerCache::kNegativeSecondsMax}));
    }
  }
  if (!seconds || *seconds == 0) return std::nullopt;
  return std::min(*seconds, AnswerCache::kSecondsMax);
}

bool age_records(base::Bytes& message, std::uint32_t seconds) {
  const auto counts = read_counts(message);
  if (!counts) return false;
  auto offset = after_question(message, *counts);
  if (!offset) return false;
  for (int i = 0; i < counts->answers + counts->authority + counts->additional; ++i) {
    const auto record = next_record(message, *offset);
    if (!record) return false;
    if (record->type == static_cast<std::uint16_t>(Type::Opt)) continue;
    const std::uint32_t left = record->ttl > seconds ? record->ttl - seconds : 0;
    for (int byte = 0; byte < 4; ++byte) {
      message[record->ttl_offset + static_cast<std::size_t>(byte)] =
          static_cast<std::uint8_t>(left >> (24 - 8 * byte));
    }
  }
  return true;
}

std::optional<base::Bytes> AnswerCache::find(base::BytesView question, base::MonotonicTime now) {
  const auto found = entries_.find(cache_key(question));
  if (found == entries_.end()) return std::nullopt;
  if (found->second.until <= now) {
    erase(found);
    return std::nullopt;
  }
  base::Bytes answer = found->second.answer;
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - found->second.since);
  if (!age_records(answer, static_cast<std::uint32_t>(age.count()))) return std::nullopt;
  // The asker's own id and spelling (0x20) come back. Equal keys have questions of equal length.
  std::size_t name_end = kHeaderBytes;
  if (!read_name(question, name_end)) return std::nullopt;
  std::copy_n(question.begin(), 2, answer.begin());
  std::copy_n(question.begin() + kHeaderBytes, name_end - kHeaderBytes,
              answer.begin() + kHeaderBytes);
  return answer;
}

void AnswerCache::keep(base::BytesView question, const base::Bytes& answer,
                       base::MonotonicTime now) {
  if (entries_max_ == 0 || answer.size() > kAnswerBytesMax) return;
  const std::string key = cache_key(question);
  const auto seconds = seconds_to_keep(answer);
  if (key.empty() || !seconds || question_key(answer) != question_key(question)) return;
  if (const auto old = entries_.find(key); old != entries_.end()) erase(old);
  if (entries_.size() >= entries_max_) erase(entries_.find(by_end_.begin()->second));
  const auto until = now + std::chrono::seconds(*seconds);
  entries_.emplace(key, Entry{answer, now, until});
  by_end_.emplace(until, key);
}

void AnswerCache::erase(Entries::iterator entry) {
  by_end_.erase({entry->second.until, entry->first});
  entries_.erase(entry);
}

}  // namespace nexus::dns
