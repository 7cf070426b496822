#pragma once

// Structs as bytes, for the keeper's protocol and its records: a struct lists its members once, in
// Members<T>, and is written and read in that order. Reading trusts nothing: lengths are checked
// against the bytes that are there before anything is allocated, enumerators against their range.

#include <fmt/format.h>

#include <base/bytes.hpp>
#include <base/time.hpp>
#include <chrono>
#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace hypermesh::keeper {

inline constexpr std::size_t kTextBytesMax = 16u << 20;
inline constexpr std::size_t kElementsMax = 100'000;

/// `static auto of(auto& value) { return std::tie(value.a, value.b); }`
template <class T>
struct Members;
/// Number of enumerators, which count from 0 without a gap.
template <class T>
inline constexpr int kEnumerators = 0;

template <class T>
void put(base::ByteWriter& writer, const T& value);
template <class T>
base::Result<> get(base::ByteReader& reader, T& value);

namespace wire {

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsPair : std::false_type {};
template <class A, class B>
struct IsPair<std::pair<A, B>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class K, class V>
struct IsMap<std::map<K, V>> : std::true_type {};
template <class T>
struct IsVariant : std::false_type {};
template <class... T>
struct IsVariant<std::variant<T...>> : std::true_type {};

/// Every element takes a byte at least, so a count beyond what is left is a lie.
inline base::Result<std::size_t> get_count(base::ByteReader& reader) {
  TRY(const std::uint32_t count, reader.u32());
  if (count > kElementsMax || count > reader.remaining()) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("{} elements at offset {}, {} bytes left", count, reader.offset(),
                                  reader.remaining()));
  }
  return count;
}

template <class Variant, std::size_t... I>
base::Result<> get_alternative(base::ByteReader& reader, Variant& value, std::uint8_t index,
                               std::index_sequence<I...>) {
  base::Result<> result;
  const bool known =
      ((index == I ? (result = get(reader, value.template emplace<I>()), true) : false) || ...);
  if (!known) return base::fail(base::Errc::DataLoss, fmt::format("unknown alternative {}", index));
  return result;
}

template <class Tuple>
base::Result<> get_all(base::ByteReader& reader, Tuple members) {
  base::Result<> result;
  std::apply([&](auto&... member) { (void)((result = get(reader, member)) && ...); }, members);
  return result;
}

}  // namespace wire

template <class T>
void put(base::ByteWriter& writer, const T& value) {
  using namespace wire;
  if constexpr (std::same_as<T, bool>) {
    writer.u8(value ? 1 : 0);
  } else if constexpr (std::is_enum_v<T>) {
    writer.u8(static_cast<std::uint8_t>(value));
  } else if constexpr (std::same_as<T, std::uint8_t>) {
    writer.u8(value);
  } else if constexpr (std::same_as<T, std::uint16_t>) {
    writer.u16(value);
  } else if constexpr (std::integral<T> && sizeof(T) == 4) {
    writer.u32(static_cast<std::uint32_t>(value));
  } else if constexpr (std::integral<T> && sizeof(T) == 8) {
    writer.u64(static_cast<std::uint64_t>(value));
  } else if constexpr (std::same_as<T, base::WallTime>) {
    put(writer, static_cast<std::int64_t>(value.time_since_epoch().count()));
  } else if constexpr (std::same_as<T, base::Duration>) {
    put(writer, static_cast<std::int64_t>(value.count()));
  } else if constexpr (std::same_as<T, std::string>) {
    writer.sized(std::string_view(value));
  } else if constexpr (std::same_as<T, base::Bytes>) {
    writer.sized(base::BytesView(value));
  } else if constexpr (IsVector<T>::value || IsMap<T>::value) {
    writer.u32(static_cast<std::uint32_t>(value.size()));
    for (const auto& element : value) put(writer, element);
  } else if constexpr (IsOptional<T>::value) {
    put(writer, value.has_value());
    if (value) put(writer, *value);
  } else if constexpr (IsPair<T>::value) {
    put(writer, value.first);
    put(writer, value.second);
  } else if constexpr (IsVariant<T>::value) {
    writer.u8(static_cast<std::uint8_t>(value.index()));
    std::visit([&](const auto& alternative) { put(writer, alternative); }, value);
  } else {
    std::apply([&](const auto&... member) { (put(writer, member), ...); }, Members<T>::of(value));
  }
}

template <class T>
base::Result<> get(base::ByteReader& reader, T& value) {
  using namespace wire;
  if constexpr (std::same_as<T, bool>) {
    TRY(const std::uint8_t byte, reader.u8());
    if (byte > 1)
      return base::fail(base::Errc::DataLoss, fmt::format("{} is no truth value", byte));
    value = byte == 1;
  } else if constexpr (std::is_enum_v<T>) {
    static_assert(kEnumerators<T> > 0, "say how many enumerators there are");
    TRY(const std::uint8_t byte, reader.u8());
    if (byte >= kEnumerators<T>) {
      return base::fail(base::Errc::DataLoss, fmt::format("enumerator {} of {} at offset {}", byte,
                                                          kEnumerators<T>, reader.offset()));
    }
    value = static_cast<T>(byte);
  } else if constexpr (std::same_as<T, std::uint8_t>) {
    TRY(value, reader.u8());
  } else if constexpr (std::same_as<T, std::uint16_t>) {
    TRY(value, reader.u16());
  } else if constexpr (std::integral<T> && sizeof(T) == 4) {
    TRY(const std::uint32_t integer, reader.u32());
    value = static_cast<T>(integer);
  } else if constexpr (std::integral<T> && sizeof(T) == 8) {
    TRY(const std::uint64_t integer, reader.u64());
    value = static_cast<T>(integer);
  } else if constexpr (std::same_as<T, base::WallTime> || std::same_as<T, base::Duration>) {
    std::int64_t count = 0;
    TRY_DO(get(reader, count));
    value = T(base::Duration(count));
  } else if constexpr (std::same_as<T, std::string>) {
    TRY(const base::BytesView bytes, reader.sized(kTextBytesMax));
    value.assign(base::as_text(bytes));
  } else if constexpr (std::same_as<T, base::Bytes>) {
    TRY(const base::BytesView bytes, reader.sized(kTextBytesMax));
    value.assign(bytes.begin(), bytes.end());
  } else if constexpr (IsVector<T>::value) {
    TRY(const std::size_t count, get_count(reader));
    value.clear();
    for (std::size_t i = 0; i < count; ++i) TRY_DO(get(reader, value.emplace_back()));
  } else if constexpr (IsMap<T>::value) {
    TRY(const std::size_t count, get_count(reader));
    value.clear();
    for (std::size_t i = 0; i < count; ++i) {
      typename T::key_type key;
      TRY_DO(get(reader, key));
      TRY_DO(get(reader, value[std::move(key)]));
    }
  } else if constexpr (IsOptional<T>::value) {
    bool present = false;
    TRY_DO(get(reader, present));
    value.reset();
    if (present) TRY_DO(get(reader, value.emplace()));
  } else if constexpr (IsPair<T>::value) {
    TRY_DO(get(reader, value.first));
    TRY_DO(get(reader, value.second));
  } else if constexpr (IsVariant<T>::value) {
    TRY(const std::uint8_t index, reader.u8());
    return get_alternative(reader, value, index,
                           std::make_index_sequence<std::variant_size_v<T>>());
  } else {
    return get_all(reader, Members<T>::of(value));
  }
  return {};
}

/// The bytes of one value.
template <class T>
base::Bytes encode(const T& value) {
  base::ByteWriter writer;
  put(writer, value);
  return std::move(writer).take();
}
/// Errors: DataLoss (malformed, or bytes are left over).
template <class T>
base::Result<T> decode(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  T value;
  TRY_DO(get(reader, value));
  TRY_DO(reader.end());
  return value;
}

}  // namespace hypermesh::keeper
