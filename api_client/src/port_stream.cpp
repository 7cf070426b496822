#include <array>

#include "api/channels.hpp"
#include "exec_session.hpp"

namespace api_client {
namespace {

using base::http::WebSocket;
using nexus::api::Channel;

class PortStream final : public base::ByteStream {
 public:
  PortStream(base::Executor executor, std::unique_ptr<WebSocket> socket)
      : executor_(std::move(executor)), socket_(std::move(socket)) {}
  ~PortStream() override { close(); }

  base::Task<base::Result<base::Bytes>> read() override {
    while (!ended_) {
      CO_TRY(const auto message, co_await socket_->read());
      if (!message) break;
      CO_TRY(const auto decoded, nexus::api::decode_channel_message(*message));
      if (const auto* end = std::get_if<nexus::api::ChannelEnd>(&decoded);
          end != nullptr && end->channel == Channel::Input)
        break;
      const auto* data = std::get_if<nexus::api::ChannelData>(&decoded);
      if (data == nullptr || (data->channel != Channel::Input && data->channel != Channel::Output))
        continue;
      // The first message on each channel repeats the port.
      bool& begun = begun_[static_cast<std::size_t>(data->channel)];
      if (!std::exchange(begun, true)) continue;
      if (data->channel == Channel::Output)
        co_return base::fail(base::Errc::Unavailable, std::string(base::as_text(data->data)));
      if (!data->data.empty()) co_return base::Bytes(data->data.begin(), data->data.end());
    }
    ended_ = true;
    co_return base::Bytes{};
  }

  base::Task<base::Result<>> write(base::BytesView bytes) override {
    while (!bytes.empty()) {
      const auto piece = bytes.first(std::min(bytes.size(), nexus::api::kChannelDataBytesMax));
      CO_TRY_DO(co_await socket_->write(nexus::api::encode_channel_data(Channel::Input, piece)));
      bytes = bytes.subspan(piece.size());
    }
    co_return base::Result<>{};
  }

  // Nothing is written after it, so the last message can go on its own; it holds the socket until
  // it is out.
  void close_write() override {
    base::asio::co_spawn(
        executor_,
        [](std::shared_ptr<WebSocket> socket) -> base::Task<> {
          (void)co_await socket->write(nexus::api::encode_channel_end(Channel::Input));
        }(socket_),
        [](std::exception_ptr) {});
  }
  void close() override { socket_->abort(); }

 private:
  base::Executor executor_;
  std::shared_ptr<WebSocket> socket_;
  std::array<bool, 2> begun_{};
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<base::ByteStream> make_port_stream(const base::Executor& executor,
                                                   std::unique_ptr<WebSocket> socket) {
  return std::make_unique<PortStream>(executor, std::move(socket));
}

}  // namespace api_client
