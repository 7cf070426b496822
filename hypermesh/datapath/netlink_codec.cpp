#include "datapath/netlink_codec.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>

#include <cstring>

namespace hypermesh::datapath {
namespace {

constexpr std::size_t aligned(std::size_t size) {
  return (size + 3) & ~std::size_t{3};
}

template <class T>
T load(base::BytesView bytes) {
  T value;
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

}  // namespace

void NetlinkWriter::append(const void* data, std::size_t size) {
  const auto* from = static_cast<const std::uint8_t*>(data);
  bytes_.insert(bytes_.end(), from, from + size);
  bytes_.resize(aligned(bytes_.size()));
}

void NetlinkWriter::begin_header(std::uint16_t type, std::uint16_t flags) {
  message_ = bytes_.size();
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = flags;
  header.nlmsg_seq = ++messages_;
  append(&header, sizeof header);
}

void NetlinkWriter::attribute(std::uint16_t type, base::BytesView value) {
  BASE_ASSERT(value.size() <= 0xffff - sizeof(nlattr), "an attribute's length has 16 bits");
  const nlattr header{static_cast<std::uint16_t>(sizeof(nlattr) + value.size()), type};
  append(&header, sizeof header);
  append(value.data(), value.size());
}

void NetlinkWriter::text(std::uint16_t type, std::string_view value) {
  std::string terminated(value);
  terminated.push_back('\0');
  attribute(type, base::as_bytes(terminated));
}

std::size_t NetlinkWriter::begin_nest(std::uint16_t type) {
  const std::size_t at = bytes_.size();
  attribute(type, {});
  return at;
}

void NetlinkWriter::end_nest(std::size_t nest) {
  const std::size_t size = bytes_.size() - nest;
  BASE_ASSERT(size <= 0xffff, "an attribute's length has 16 bits");
  const auto length = static_cast<std::uint16_t>(size);
  std::memcpy(&bytes_[nest], &length, sizeof length);
}

void NetlinkWriter::end() {
  const auto length = static_cast<std::uint32_t>(bytes_.size() - message_);
  std::memcpy(&bytes_[message_], &length, sizeof length);
}

base::Bytes NetlinkBatch::numbered(std::uint32_t first_sequence) const {
  const base::BytesView view = writer_.bytes();
  base::Bytes bytes(view.begin(), view.end());
  for (std::size_t at = 0; at < bytes.size();) {
    nlmsghdr header{};
    std::memcpy(&header, &bytes[at], sizeof header);
    header.nlmsg_seq = first_sequence++;
    std::memcpy(&bytes[at], &header, sizeof header);
    at += aligned(header.nlmsg_len);
  }
  return bytes;
}

base::Result<std::optional<NetlinkMessage>> NetlinkReader::next() {
  if (rest_.empty()) return std::nullopt;
  if (rest_.size() < sizeof(nlmsghdr)) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("netlink: {} bytes are no message", rest_.size()));
  }
  const auto header = load<nlmsghdr>(rest_);
  if (header.nlmsg_len < sizeof(nlmsghdr) || header.nlmsg_len > rest_.size()) {
    return base::fail(base::Errc::DataLoss, fmt::format("netlink: message of {} bytes in {}",
                                                        header.nlmsg_len, rest_.size()));
  }
  NetlinkMessage message{header.nlmsg_type, header.nlmsg_flags, header.nlmsg_seq,
                         rest_.subspan(sizeof(nlmsghdr), header.nlmsg_len - sizeof(nlmsghdr))};
  rest_ = rest_.subspan(std::min(aligned(header.nlmsg_len), rest_.size()));
  return message;
}

base::Result<NetlinkAttributes> NetlinkAttributes::parse(base::BytesView bytes) {
  NetlinkAttributes attributes;
  while (!bytes.empty()) {
    if (bytes.size() < sizeof(nlattr)) {
      return base::fail(base::Errc::DataLoss,
                        fmt::format("netlink: {} bytes are no attribute", bytes.size()));
    }
    const auto header = load<nlattr>(bytes);
    if (header.nla_len < sizeof(nlattr) || header.nla_len > bytes.size()) {
      return base::fail(base::Errc::DataLoss,
                        fmt::format("netlink: attribute {} of {} bytes in {}", header.nla_type,
                                    header.nla_len, bytes.size()));
    }
    attributes.all_.push_back({static_cast<std::uint16_t>(header.nla_type & NLA_TYPE_MASK),
                               bytes.subspan(sizeof(nlattr), header.nla_len - sizeof(nlattr))});
    bytes = bytes.subspan(std::min(aligned(header.nla_len), bytes.size()));
  }
  return attributes;
}

std::optional<base::BytesView> NetlinkAttributes::find(std::uint16_t type) const {
  for (auto it = all_.rbegin(); it != all_.rend(); ++it) {
    if (it->type == type) return it->value;
  }
  return {};
}

std::optional<std::string_view> NetlinkAttributes::text(std::uint16_t type) const {
  const auto value = find(type);
  if (!value) return {};
  const std::string_view text = base::as_text(*value);
  return text.substr(0, text.find('\0'));
}

std::optional<std::uint32_t> NetlinkAttributes::u32(std::uint16_t type) const {
  const auto value = find(type);
  if (!value || value->size() != sizeof(std::uint32_t)) return {};
  return load<std::uint32_t>(*value);
}

base::Result<NetlinkAttributes> NetlinkAttributes::nested(std::uint16_t type) const {
  const auto value = find(type);
  if (!value) return NetlinkAttributes{};
  return parse(*value);
}

base::Result<NetlinkAttributes> detail::split_body(base::BytesView payload, void* body,
                                                   std::size_t body_bytes) {
  if (payload.size() < body_bytes) {
    return base::fail(base::Errc::DataLoss, fmt::format("netlink: body of {} bytes, {} wanted",
                                                        payload.size(), body_bytes));
  }
  std::memcpy(body, payload.data(), body_bytes);
  return NetlinkAttributes::parse(payload.subspan(std::min(aligned(body_bytes), payload.size())));
}

base::Result<NetlinkAnswer> parse_answer(const NetlinkMessage& message) {
  constexpr std::size_t kFixed = sizeof(nlmsgerr);
  if (message.payload.size() < kFixed) {
    return base::fail(base::Errc::DataLoss,
                      fmt::format("netlink: answer of {} bytes", message.payload.size()));
  }
  const auto error = load<nlmsgerr>(message.payload);
  // The kernel never answers a number that is positive or out of errno's range; INT_MIN has no
  // negative.
  if (error.error > 0 || error.error < -4095) {
    return base::fail(base::Errc::DataLoss, fmt::format("netlink: answer {}", error.error));
  }
  NetlinkAnswer answer{-error.error, {}};
  if ((message.flags & NLM_F_ACK_TLVS) == 0) return answer;
  // Without NLM_F_CAPPED the request follows whole before the attributes.
  std::size_t offset = kFixed;
  if ((message.flags & NLM_F_CAPPED) == 0) {
    if (error.msg.nlmsg_len < sizeof(nlmsghdr)) {
      return base::fail(base::Errc::DataLoss, "netlink: answer to a message of no length");
    }
    offset += aligned(error.msg.nlmsg_len) - sizeof(nlmsghdr);
  }
  if (offset > message.payload.size()) {
    return base::fail(base::Errc::DataLoss, "netlink: answer ends within the request it repeats");
  }
  TRY(const NetlinkAttributes attributes,
      NetlinkAttributes::parse(message.payload.subspan(offset)));
  if (const auto reason = attributes.text(NLMSGERR_ATTR_MSG)) answer.reason = *reason;
  return answer;
}

}  // namespace hypermesh::datapath
