#include "exec_session.hpp"

#include "api/channels.hpp"

namespace api_client {
namespace {

using nexus::api::Channel;

class WebSocketExecSession final : public ExecSession {
 public:
  explicit WebSocketExecSession(std::unique_ptr<base::http::WebSocket> socket)
      : socket_(std::move(socket)) {}

  base::Task<base::Result<std::optional<Output>>> read_output() override {
    while (!ended_) {
      CO_TRY(const auto message, co_await socket_->read());
      if (!message) {
        ended_ = true;
        break;
      }
      CO_TRY(const auto decoded, nexus::api::decode_channel_message(*message));
      const auto* data = std::get_if<nexus::api::ChannelData>(&decoded);
      if (data == nullptr) continue;
      if (data->channel == Channel::Outcome) {
        outcome_ = nexus::api::decode_outcome(data->data);
        ended_ = true;
      } else if (!data->data.empty()) {
        co_return Output{data->channel == Channel::ErrorOutput,
                         base::Bytes(data->data.begin(), data->data.end())};
      }
    }
    co_return std::nullopt;
  }

  base::Task<base::Result<>> write_input(base::BytesView bytes) override {
    while (!bytes.empty()) {
      const auto piece = bytes.first(std::min(bytes.size(), nexus::api::kChannelDataBytesMax));
      CO_TRY_DO(co_await socket_->write(nexus::api::encode_channel_data(Channel::Input, piece)));
      bytes = bytes.subspan(piece.size());
    }
    co_return base::Result<>{};
  }

  base::Task<base::Result<>> close_input() override {
    if (socket_->subprotocol() != nexus::api::kChannelProtocolV5) {
      co_return base::fail(base::Errc::Unsupported,
                           "the server cannot be told that the input ends");
    }
    co_return co_await socket_->write(nexus::api::encode_channel_end(Channel::Input));
  }

  base::Task<base::Result<>> resize(std::uint16_t rows, std::uint16_t columns) override {
    co_return co_await socket_->write(nexus::api::encode_channel_resize(rows, columns));
  }

  base::Result<int> exit_code() const override { return outcome_; }

 private:
  std::unique_ptr<base::http::WebSocket> socket_;
  bool ended_ = false;
  base::Result<int> outcome_ =
      base::fail(base::Errc::Unavailable, "the session broke off before its outcome was known");
};

}  // namespace

std::unique_ptr<ExecSession> make_exec_session(std::unique_ptr<base::http::WebSocket> socket) {
  return std::make_unique<WebSocketExecSession>(std::move(socket));
}

}  // namespace api_client
