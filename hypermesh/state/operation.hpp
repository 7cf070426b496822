#pragma once

// What can be ordered, and what becomes of it. Both have one encoding: equal values, equal bytes.

#include <base/bytes.hpp>
#include <optional>
#include <variant>
#include <vector>

#include "state/keys.hpp"

namespace hypermesh::state {

inline constexpr std::size_t kWritesMax = 512;                 ///< Of one transaction.
inline constexpr std::size_t kConditionsMax = 512;             ///< Likewise.
inline constexpr std::size_t kTransactionBytesMax = 4u << 20;  ///< Keys and values of one.
inline constexpr std::size_t kOperationBytesMax = kTransactionBytesMax + 64 * 1024;
inline constexpr Time kLeaseTtlMax = 10ull * 365 * 86'400 * 1'000'000'000;
inline constexpr std::size_t kLeasesMax = 1'000'000;

struct Condition {
  std::string key;
  Revision modified = 0;  ///< The key's; 0: it must not exist.
  bool operator==(const Condition&) const = default;
};
struct Write {
  std::string key;
  std::optional<std::string> value;  ///< Empty: delete.
  LeaseId lease = 0;                 ///< The key goes when this lease ends; 0: it stays.
  bool operator==(const Write&) const = default;
};
/// All writes get one revision, or nothing changes.
/// Refusals: Conflict (a condition does not hold: names the key), InvalidArgument (no writes, one
/// key twice, an empty or too long key), FailedPrecondition (no such lease), ResourceExhausted
/// (too large).
struct Transaction {
  std::vector<Condition> conditions;
  std::vector<Write> writes;
  bool operator==(const Transaction&) const = default;
};
/// Refuses what is wrong whatever the state is.
base::Result<> check(const Transaction& transaction);
/// Its number is the lease's id. Refusals: InvalidArgument, ResourceExhausted.
struct GrantLease {
  Time time_to_live = 0;
  bool operator==(const GrantLease&) const = default;
};
/// Refusals: NotFound (the lease has ended).
struct KeepAlive {
  LeaseId lease = 0;
  bool operator==(const KeepAlive&) const = default;
};
/// Ends a lease and deletes its keys. Refusals: NotFound.
struct RevokeLease {
  LeaseId lease = 0;
  bool operator==(const RevokeLease&) const = default;
};
/// Changes nothing: who waits for it has seen all that was ordered before.
struct Barrier {
  bool operator==(const Barrier&) const = default;
};

struct Operation {
  Time deadline = 0;  ///< In ordered time; later it is refused with TimedOut. 0: none.
  std::variant<Barrier, Transaction, GrantLease, KeepAlive, RevokeLease> action;
  bool operator==(const Operation&) const = default;
};

base::Bytes encode(const Operation& operation);
/// Errors: InvalidArgument (not an operation), Unsupported (of a newer version),
/// ResourceExhausted (beyond a limit).
base::Result<Operation> decode_operation(base::BytesView bytes);

/// What became of an operation: the same at every replica, so that clients can compare answers.
struct Outcome {
  std::optional<base::Errc> refused;  ///< Then nothing changed.
  std::string message;                ///< Of a refusal.
  std::uint64_t number = 0;           ///< The state's revision after it; of GrantLease the lease.

  base::Result<std::uint64_t> result() const;
  bool operator==(const Outcome&) const = default;
};
Outcome refusal(const base::Error& error);

base::Bytes encode(const Outcome& outcome);
/// Errors: DataLoss.
base::Result<Outcome> decode_outcome(base::BytesView bytes);

}  // namespace hypermesh::state
