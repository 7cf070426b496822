#pragma once

// The part of netlink that we speak (RFC 3549; linux/netlink.h): messages with nested attributes,
// written one after the other into one buffer, and a reader that holds every length against the
// bytes that are there. Integers are in host order, every message and attribute starts at a
// multiple of four bytes.

#include <base/bytes.hpp>
#include <base/error.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace hypermesh::datapath {

/// Writes one or more messages.
class NetlinkWriter {
 public:
  /// Starts a message with the fixed part `body` of its family (ifinfomsg, rtmsg, ...). Its
  /// sequence number is the count of messages before it plus one.
  template <class Body>
    requires std::is_trivially_copyable_v<Body>
  void begin(std::uint16_t type, std::uint16_t flags, const Body& body) {
    begin_header(type, flags);
    append(&body, sizeof body);
  }
  void attribute(std::uint16_t type, base::BytesView value);
  /// Ends in a NUL, as the kernel wants names.
  void text(std::uint16_t type, std::string_view value);
  void u8(std::uint16_t type, std::uint8_t value) { integer(type, value); }
  void u32(std::uint16_t type, std::uint32_t value) { integer(type, value); }
  /// Everything until the matching end_nest lies inside `type`. What is written directly after may
  /// be a fixed structure (`raw`), as in a veth's peer.
  std::size_t begin_nest(std::uint16_t type);
  template <class Body>
    requires std::is_trivially_copyable_v<Body>
  void raw(const Body& body) {
    append(&body, sizeof body);
  }
  void end_nest(std::size_t nest);
  /// Ends the message that begin started.
  void end();

  std::uint32_t messages() const { return messages_; }
  base::BytesView bytes() const { return bytes_; }

 private:
  void begin_header(std::uint16_t type, std::uint16_t flags);
  void append(const void* data, std::size_t size);
  template <class T>
  void integer(std::uint16_t type, T value) {
    attribute(type, {reinterpret_cast<const std::uint8_t*>(&value), sizeof value});
  }

  base::Bytes bytes_;
  std::size_t message_ = 0;
  std::uint32_t messages_ = 0;
};

/// Messages that are sent together, each with what it does, for the error that it may cause.
class NetlinkBatch {
 public:
  /// The writer to put the next message into: begin ... end.
  NetlinkWriter& add(std::string what) {
    what_.push_back(std::move(what));
    return writer_;
  }
  const std::string& what(std::size_t index) const { return what_[index]; }
  std::size_t size() const { return what_.size(); }
  /// The messages, numbered from `first_sequence` on.
  base::Bytes numbered(std::uint32_t first_sequence) const;
  base::BytesView bytes() const { return writer_.bytes(); }

 private:
  NetlinkWriter writer_;
  std::vector<std::string> what_;
};

struct NetlinkMessage {
  std::uint16_t type = 0;
  std::uint16_t flags = 0;
  std::uint32_t sequence = 0;
  base::BytesView payload;  ///< Points into what the reader reads.
};

/// Splits received bytes into messages.
class NetlinkReader {
 public:
  explicit NetlinkReader(base::BytesView bytes) : rest_(bytes) {}
  /// Empty at the end. Errors: DataLoss (a length that does not fit).
  base::Result<std::optional<NetlinkMessage>> next();

 private:
  base::BytesView rest_;
};

/// The attributes of one message or of one nest, in order.
class NetlinkAttributes {
 public:
  /// `bytes` start at the first attribute. Errors: DataLoss.
  static base::Result<NetlinkAttributes> parse(base::BytesView bytes);
  /// The last one of `type`; empty when there is none.
  std::optional<base::BytesView> find(std::uint16_t type) const;
  /// Without its NUL.
  std::optional<std::string_view> text(std::uint16_t type) const;
  /// Empty also when the attribute has another size.
  std::optional<std::uint32_t> u32(std::uint16_t type) const;
  /// An attribute that holds attributes. Empty when absent. Errors: DataLoss.
  base::Result<NetlinkAttributes> nested(std::uint16_t type) const;
  std::size_t size() const { return all_.size(); }

 private:
  struct Attribute {
    std::uint16_t type;
    base::BytesView value;
  };
  std::vector<Attribute> all_;
};

/// The fixed part of a message and the attributes after it. Errors: DataLoss (too short).
template <class Body>
  requires std::is_trivially_copyable_v<Body>
base::Result<std::pair<Body, NetlinkAttributes>> parse_body(const NetlinkMessage& message);

/// What an NLMSG_ERROR message says. `error_number` 0 is an acknowledgement.
struct NetlinkAnswer {
  int error_number = 0;
  std::string reason;  ///< The kernel's own words (extended acknowledgement), when it has some.
};
/// Errors: DataLoss.
base::Result<NetlinkAnswer> parse_answer(const NetlinkMessage& message);

namespace detail {
base::Result<NetlinkAttributes> split_body(base::BytesView payload, void* body,
                                           std::size_t body_bytes);
}

template <class Body>
  requires std::is_trivially_copyable_v<Body>
base::Result<std::pair<Body, NetlinkAttributes>> parse_body(const NetlinkMessage& message) {
  Body body;
  TRY(NetlinkAttributes attributes, detail::split_body(message.payload, &body, sizeof body));
  return std::pair{body, std::move(attributes)};
}

}  // namespace hypermesh::datapath
