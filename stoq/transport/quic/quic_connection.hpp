#pragma once

#include "transport/quic/endpoint.hpp"

namespace stoq::quic {

/// A session as the layers above use it. Letting it go ends the connection.
class QuicConnection final : public Connection {
 public:
  explicit QuicConnection(std::shared_ptr<ConnectionState> state) : state_(std::move(state)) {}
  ~QuicConnection() override;

  base::Executor executor() const override { return state_->executor; }
  std::optional<NodeId> peer() const override { return state_->peer; }
  const std::string& alpn() const override { return state_->alpn; }
  base::Task<base::Result<std::unique_ptr<Stream>>> open_stream(StreamOptions options) override;
  base::Task<base::Result<std::unique_ptr<Stream>>> accept_stream() override;
  base::Result<> send_datagram(base::BytesView bytes) override;
  base::Task<base::Result<base::Bytes>> receive_datagram() override;
  std::size_t datagram_bytes_max() const override;
  ConnectionStats stats() const override;
  void close(std::string reason, std::uint64_t code) override;
  std::uint64_t close_code() const override {
    // Streams tell of the end before the endpoint does.
    return state_->session != nullptr ? state_->session->close_code() : state_->close_code;
  }
  base::Task<std::string> closed() override;

  ConnectionState& state() { return *state_; }

 private:
  std::shared_ptr<ConnectionState> state_;
};

}  // namespace stoq::quic
