#include "state/operation.hpp"

#include <fmt/format.h>

#include <array>
#include <set>

namespace hypermesh::state {
namespace {

constexpr std::uint8_t kOperationFormat = 1, kOutcomeFormat = 1;
constexpr std::size_t kMessageBytesMax = 2 * kKeyBytesMax;

// An outcome's code on the wire is its place here, from 1; 0 is success. Only ever added to.
constexpr std::array kRefusals = {
    base::Errc::InvalidArgument,    base::Errc::NotFound,          base::Errc::Conflict,
    base::Errc::FailedPrecondition, base::Errc::ResourceExhausted, base::Errc::TimedOut,
    base::Errc::Unsupported,        base::Errc::Forbidden,         base::Errc::NotVerified,
    base::Errc::AlreadyExists,
};

struct Encoder {
  base::ByteWriter& writer;
  void operator()(const Barrier&) const {}
  void operator()(const Transaction& transaction) const {
    writer.u32(static_cast<std::uint32_t>(transaction.conditions.size()));
    for (const Condition& condition : transaction.conditions) {
      writer.sized(condition.key);
      writer.u64(condition.modified);
    }
    writer.u32(static_cast<std::uint32_t>(transaction.writes.size()));
    for (const Write& write : transaction.writes) {
      writer.sized(write.key);
      writer.u64(write.lease);
      writer.u8(write.value ? 1 : 0);
      if (write.value) writer.sized(*write.value);
    }
  }
  void operator()(const GrantLease& grant) const { writer.u64(grant.time_to_live); }
  void operator()(const KeepAlive& keep) const { writer.u64(keep.lease); }
  void operator()(const RevokeLease& revoke) const { writer.u64(revoke.lease); }
};

base::Result<std::uint32_t> read_count(base::ByteReader& reader, std::size_t most,
                                       const char* what) {
  TRY(const auto count, reader.u32());
  if (count <= most) return count;
  return base::fail(
      base::Errc::ResourceExhausted,
      fmt::format("a transaction has {} {}; at most {} are allowed", count, what, most));
}

base::Result<Transaction> read_transaction(base::ByteReader& reader) {
  Transaction transaction;
  TRY(const auto conditions, read_count(reader, kConditionsMax, "conditions"));
  for (std::uint32_t i = 0; i < conditions; ++i) {
    Condition condition;
    TRY(const auto key, reader.sized(kKeyBytesMax));
    condition.key = base::as_text(key);
    TRY(condition.modified, reader.u64());
    transaction.conditions.push_back(std::move(condition));
  }
  TRY(const auto writes, read_count(reader, kWritesMax, "writes"));
  for (std::uint32_t i = 0; i < writes; ++i) {
    Write write;
    TRY(const auto key, reader.sized(kKeyBytesMax));
    write.key = base::as_text(key);
    TRY(write.lease, reader.u64());
    TRY(const auto flag, reader.u8());
    if (flag > 1)
      return base::fail(base::Errc::InvalidArgument, fmt::format("a write has the flag {}", flag));
    if (flag == 1) {
      TRY(const auto value, reader.sized(kValueBytesMax));
      write.value.emplace(base::as_text(value));
    }
    transaction.writes.push_back(std::move(write));
  }
  return transaction;
}

base::Result<Operation> read_operation(base::ByteReader& reader) {
  TRY(const auto format, reader.u8());
  if (format != kOperationFormat) {
    return base::fail(base::Errc::Unsupported,
                      fmt::format("an operation of the unknown format {}", format));
  }
  Operation operation;
  TRY(operation.deadline, reader.u64());
  TRY(const auto kind, reader.u8());
  switch (kind) {
    case 0:
      operation.action = Barrier();
      break;
    case 1: {
      TRY(operation.action, read_transaction(reader));
      break;
    }
    case 2: {
      TRY(const auto time_to_live, reader.u64());
      operation.action = GrantLease{time_to_live};
      break;
    }
    case 3: {
      TRY(const auto lease, reader.u64());
      operation.action = KeepAlive{lease};
      break;
    }
    case 4: {
      TRY(const auto lease, reader.u64());
      operation.action = RevokeLease{lease};
      break;
    }
    default:
      return base::fail(base::Errc::Unsupported,
                        fmt::format("an operation has kind {}; this build knows 0 to 4", kind));
  }
  TRY_DO(reader.end());
  return operation;
}

}  // namespace

base::Bytes encode(const Operation& operation) {
  base::ByteWriter writer;
  writer.u8(kOperationFormat);
  writer.u64(operation.deadline);
  writer.u8(static_cast<std::uint8_t>(operation.action.index()));
  std::visit(Encoder{writer}, operation.action);
  return std::move(writer).take();
}

base::Result<> check(const Transaction& transaction) {
  using base::Errc;
  using base::fail;
  if (transaction.writes.empty()) return fail(Errc::InvalidArgument, "a transaction has no writes");
  if (transaction.writes.size() > kWritesMax || transaction.conditions.size() > kConditionsMax) {
    return fail(
        Errc::ResourceExhausted,
        fmt::format("a transaction has {} writes and {} conditions; at most {} and {} are allowed",
                    transaction.writes.size(), transaction.conditions.size(), kWritesMax,
                    kConditionsMax));
  }
  std::size_t bytes = 0;
  std::set<std::string_view> keys;
  const auto bad_key = [](std::string_view key) {
    return key.empty() || key.size() > kKeyBytesMax;
  };
  for (const Write& write : transaction.writes) {
    if (bad_key(write.key)) {
      return fail(Errc::InvalidArgument, fmt::format("a key has {} bytes; 1 to {} are allowed",
                                                     write.key.size(), kKeyBytesMax));
    }
    if (transaction.writes.size() > 1 && !keys.insert(write.key).second) {
      return fail(Errc::InvalidArgument, fmt::format("a transaction writes {} twice", write.key));
    }
    const std::size_t value_bytes = write.value ? write.value->size() : 0;
    if (value_bytes > kValueBytesMax) {
      return fail(Errc::ResourceExhausted,
                  fmt::format("the value of {} has {} bytes; at most {} are allowed", write.key,
                              value_bytes, kValueBytesMax));
    }
    bytes += write.key.size() + value_bytes;
  }
  for (const Condition& condition : transaction.conditions) {
    if (bad_key(condition.key)) {
      return fail(Errc::InvalidArgument,
                  fmt::format("a condition's key has {} bytes; 1 to {} are allowed",
                              condition.key.size(), kKeyBytesMax));
    }
    bytes += condition.key.size();
  }
  if (bytes > kTransactionBytesMax) {
    return fail(Errc::ResourceExhausted,
                fmt::format("a transaction has {} bytes; at most {} are allowed", bytes,
                            kTransactionBytesMax));
  }
  return {};
}

base::Result<Operation> decode_operation(base::BytesView bytes) {
  if (bytes.size() > kOperationBytesMax) {
    return base::fail(base::Errc::ResourceExhausted,
                      fmt::format("an operation has {} bytes; at most {} are allowed", bytes.size(),
                                  kOperationBytesMax));
  }
  base::ByteReader reader(bytes);
  auto operation = read_operation(reader);
  // To whoever reads the log, bytes that are no operation are a wrong request, not a damaged disk.
  if (!operation && operation.error().code == base::Errc::DataLoss)
    operation.error().code = base::Errc::InvalidArgument;
  return operation;
}

base::Result<std::uint64_t> Outcome::result() const {
  if (refused) return base::fail(*refused, message);
  return number;
}

Outcome refusal(const base::Error& error) {
  Outcome outcome{base::Errc::InvalidArgument, error.message.substr(0, kMessageBytesMax), 0};
  for (const auto code : kRefusals) {
    if (code == error.code) outcome.refused = code;
  }
  return outcome;
}

base::Bytes encode(const Outcome& outcome) {
  base::ByteWriter writer;
  writer.u8(kOutcomeFormat);
  std::uint8_t code = 0;
  for (std::size_t i = 0; outcome.refused && i < kRefusals.size(); ++i) {
    if (kRefusals[i] == *outcome.refused) code = static_cast<std::uint8_t>(i + 1);
  }
  BASE_ASSERT((code != 0) == outcome.refused.has_value(), "a refusal has a code of its own");
  writer.u8(code);
  writer.u64(outcome.number);
  writer.sized(outcome.message);
  return std::move(writer).take();
}

base::Result<Outcome> decode_outcome(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  TRY(const auto format, reader.u8());
  TRY(const auto code, reader.u8());
  if (format != kOutcomeFormat || code > kRefusals.size()) {
    return base::fail(
        base::Errc::DataLoss,
        fmt::format("an outcome of format {} with code {} cannot be read", format, code));
  }
  Outcome outcome;
  if (code != 0) outcome.refused = kRefusals[code - 1];
  TRY(outcome.number, reader.u64());
  TRY(const auto message, reader.sized(kMessageBytesMax));
  outcome.message = base::as_text(message);
  TRY_DO(reader.end());
  return outcome;
}

}  // namespace hypermesh::state
