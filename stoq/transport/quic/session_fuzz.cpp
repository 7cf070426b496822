// A client and a server in virtual time whose datagrams the input changes: one byte for each
// datagram says what becomes of it, and more bytes follow where that needs them. The packets are
// protected, so what is searched is how the sessions bear what is damaged, missing, old or early.
#include "transport/quic/testing/session_pair.hpp"

namespace {

using namespace stoq::quic;
using namespace std::chrono_literals;
using testing::End;
using testing::SessionPair;

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : left_(data, size) {}
  bool empty() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto first = left_.front();
    left_ = left_.subspan(1);
    return first;
  }
  std::size_t number() { return byte() * 256u + byte(); }

 private:
  base::BytesView left_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  SessionPair pair(1);
  pair.to_server.change = pair.to_client.change = [&](base::Bytes bytes) {
    std::vector<base::Bytes> out;
    switch (input.byte() % 8) {
      default:
        out.push_back(std::move(bytes));
        break;
      case 1:
        break;
      case 2:
        out.push_back(bytes);
        out.push_back(std::move(bytes));
        break;
      case 3:
        for (int i = input.byte() % 4; i >= 0; --i)
          bytes[input.number() % bytes.size()] ^= input.byte();
        out.push_back(std::move(bytes));
        break;
      case 4:
        out.push_back(bytes);
        bytes.resize(1 + input.number() % bytes.size());
        out.push_back(std::move(bytes));
        break;
      case 5: {
        base::Bytes raw(1 + input.byte());
        for (auto& each : raw) each = input.byte();
        out.push_back(std::move(bytes));
        out.push_back(std::move(raw));
        break;
      }
      case 6:
        bytes.insert(bytes.end(), bytes.begin(), bytes.end());
        out.push_back(std::move(bytes));
        break;
    }
    return out;
  };
  pair.connect();
  int turns = 0;
  const auto streams = [&](End& end) {
    if (!end.session || !end.session->established() || end.session->ended()) return;
    const auto stream = end.session->open_stream(input.byte() % 2 == 0, input.byte() % 4, false);
    if (!stream || !*stream) return;
    end.session->send(**stream, base::Bytes(input.number()));
    switch (input.byte() % 4) {
      case 0:
        end.session->reset(**stream, 7);
        break;
      case 1:
        end.session->stop_reading(**stream, 8);
        break;
      case 2:
        end.session->release(**stream);
        break;
      default:
        end.session->send_end(**stream);
    }
  };
  while (!input.empty() && ++turns < 64) {
    pair.settle(std::chrono::milliseconds(1 + input.byte()));
    streams(pair.client);
    streams(pair.server);
    for (End* end : {&pair.client, &pair.server}) {
      for (auto& stream : end->opened) {
        if (end->session && stream->session != nullptr) (void)end->session->read(*stream);
      }
    }
    if (input.byte() % 16 == 0 && !pair.client.session->ended()) {
      ++pair.client_port;
      (void)pair.client.session->migrate(pair.client_path(), pair.now());
    }
  }
  return 0;
}
