#pragma once

// How an object lies in the state: key and value.
//
//   key    /objects/<Kind>/<namespace>/<name>
//   value  version (u8), flags (u8: 1 sealed), writer (sized), [key id (8)], compact JSON, sealed
//   or plain
//
// resourceVersion is not stored: it is the revision of the key.

#include <array>
#include <base/bytes.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "objects/object_ref.hpp"

namespace nexus {

inline constexpr std::string_view kObjectsPrefix = "/objects/";

std::string object_key(const ObjectRef& ref);
/// Prefix of all keys of `kind`, in one namespace if given; of all objects when `kind` is empty.
std::string objects_prefix(std::string_view kind, const std::optional<std::string>& name_space);
/// Errors: DataLoss.
base::Result<ObjectRef> ref_of_key(std::string_view key);

using SecretKeyId = std::array<std::uint8_t, 8>;

struct Envelope {
  std::string writer;                 ///< User who wrote last, for messages about conflicts.
  std::optional<SecretKeyId> sealed;  ///< With which key `payload` is sealed.
  std::string payload;
  bool operator==(const Envelope&) const = default;
};
std::string encode_envelope(const Envelope& envelope);
/// Errors: DataLoss, Unsupported (a newer format).
base::Result<Envelope> decode_envelope(std::string_view bytes);

}  // namespace nexus
