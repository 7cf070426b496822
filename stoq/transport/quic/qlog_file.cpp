#include "transport/quic/qlog_file.hpp"

#include <cstdio>

namespace stoq::quic {

namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

class QlogFile final : public Qlog {
 public:
  explicit QlogFile(std::FILE* file) : file_(file) {}

  void write(base::BytesView bytes) override {
    if (!file_) return;
    written_ += bytes.size();
    const bool done = written_ <= kQlogBytesMax &&
                      std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) == bytes.size();
    if (!done) file_.reset();
  }

 private:
  std::unique_ptr<std::FILE, Close> file_;
  std::size_t written_ = 0;
};

}  // namespace

QlogFactory qlog_files(std::string folder) {
  return [folder = std::move(folder)](const ConnectionId& original,
                                      bool server) -> std::unique_ptr<Qlog> {
    const std::string path = folder + "/" + base::to_hex({original.data, original.datalen}) +
                             (server ? "_server.sqlog" : "_client.sqlog");
    // Not over what another connection has written; "e": not for children.
    std::FILE* file = std::fopen(path.c_str(), "wxe");
    if (file == nullptr) return nullptr;
    return std::make_unique<QlogFile>(file);
  };
}

}  // namespace stoq::quic
