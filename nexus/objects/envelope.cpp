#include "objects/envelope.hpp"

#include <fmt/format.h>

namespace nexus {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kSealedFlag = 1;
constexpr std::size_t kWriterBytesMax = 512;

}  // namespace

std::string object_key(const ObjectRef& ref) {
  return fmt::format("{}{}/{}/{}", kObjectsPrefix, ref.kind, ref.name_space, ref.name);
}

std::string objects_prefix(std::string_view kind, const std::optional<std::string>& name_space) {
  if (kind.empty()) return std::string(kObjectsPrefix);
  if (!name_space) return fmt::format("{}{}/", kObjectsPrefix, kind);
  return fmt::format("{}{}/{}/", kObjectsPrefix, kind, *name_space);
}

base::Result<ObjectRef> ref_of_key(std::string_view key) {
  const auto bad = [&] {
    return base::fail(base::Errc::DataLoss, fmt::format("{} is not the key of an object", key));
  };
  if (!key.starts_with(kObjectsPrefix)) return bad();
  const std::string_view rest = key.substr(kObjectsPrefix.size());
  const auto first = rest.find('/');
  const auto second = first == std::string_view::npos ? first : rest.find('/', first + 1);
  if (second == std::string_view::npos || rest.find('/', second + 1) != std::string_view::npos)
    return bad();
  ObjectRef ref{std::string(rest.substr(0, first)),
                std::string(rest.substr(first + 1, second - first - 1)),
                std::string(rest.substr(second + 1))};
  if (ref.kind.empty() || ref.name.empty()) return bad();
  return ref;
}

std::string encode_envelope(const Envelope& envelope) {
  base::ByteWriter writer;
  writer.u8(kVersion);
  writer.u8(envelope.sealed ? kSealedFlag : 0);
  writer.sized(std::string_view(envelope.writer).substr(0, kWriterBytesMax));
  if (envelope.sealed) writer.raw(*envelope.sealed);
  writer.raw(base::as_bytes(envelope.payload));
  return std::string(base::as_text(writer.view()));
}

base::Result<Envelope> decode_envelope(std::string_view bytes) {
  base::ByteReader reader(base::as_bytes(bytes));
  TRY(const auto version, reader.u8());
  if (version != kVersion) {
    return base::fail(
        version > kVersion ? base::Errc::Unsupported : base::Errc::DataLoss,
        fmt::format("the object has format {}; this build reads {}", version, kVersion));
  }
  TRY(const auto flags, reader.u8());
  if (flags > kSealedFlag)
    return base::fail(base::Errc::DataLoss, fmt::format("the object has flags {}", flags));
  Envelope envelope;
  TRY(const auto writer, reader.sized(kWriterBytesMax));
  envelope.writer = base::as_text(writer);
  if (flags == kSealedFlag) {
    TRY(const auto id, reader.raw(std::tuple_size_v<SecretKeyId>));
    std::copy(id.begin(), id.end(), envelope.sealed.emplace().begin());
  }
  TRY(const auto payload, reader.raw(reader.remaining()));
  envelope.payload = base::as_text(payload);
  return envelope;
}

}  // namespace nexus
