#pragma once

// Parts of the wire formats that several of them have.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <base/bytes.hpp>
#include <type_traits>
#include <variant>

#include "consensus/types.hpp"

namespace hypermesh::consensus {

template <std::size_t N>
base::Result<> read_array(base::ByteReader& in, std::array<std::uint8_t, N>& out) {
  TRY(const auto bytes, in.raw(N));
  std::ranges::copy(bytes, out.begin());
  return {};
}

/// A count (u16). Errors: DataLoss (above `count_max`).
inline base::Result<std::size_t> read_count(base::ByteReader& in, std::size_t count_max,
                                            const char* what) {
  TRY(const auto count, in.u16());
  if (count <= count_max) return count;
  return base::fail(base::Errc::DataLoss,
                    fmt::format("{} {}; {} are allowed", count, what, count_max));
}

/// Errors: DataLoss (neither 0 nor 1).
inline base::Result<bool> read_flag(base::ByteReader& in) {
  TRY(const auto flag, in.u8());
  if (flag <= 1) return flag == 1;
  return base::fail(base::Errc::DataLoss, fmt::format("a flag that is {}, not 0 or 1", flag));
}

/// Errors: Unsupported (another version).
inline base::Result<> read_version(base::ByteReader& in, std::uint8_t known, const char* what) {
  TRY(const auto version, in.u8());
  if (version == known) return {};
  return base::fail(base::Errc::Unsupported,
                    fmt::format("{} of version {}; this program reads {}", what, version, known));
}

inline base::Result<> read_version(base::ByteReader& in, const Versions& known, const char* what) {
  TRY(const auto version, in.u8());
  if (known.contain(version)) return {};
  return base::fail(base::Errc::Unsupported,
                    fmt::format("{} of version {}; this program reads {} to {}", what, version,
                                known.oldest, known.newest));
}

/// What `decoder` makes of std::type_identity of the variant's type number `type`.
/// Errors: DataLoss (there is no such type).
template <class Variant, std::size_t Type = 0>
base::Result<Variant> decode_type(std::size_t type, auto& decoder, const char* what) {
  if constexpr (Type == std::variant_size_v<Variant>) {
    return base::fail(base::Errc::DataLoss, fmt::format("{} of the unknown type {}", what, type));
  } else {
    if (type != Type) return decode_type<Variant, Type + 1>(type, decoder, what);
    return decoder(std::type_identity<std::variant_alternative_t<Type, Variant>>());
  }
}

}  // namespace hypermesh::consensus
