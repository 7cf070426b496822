#include "runtime/images/layer_stream.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>

namespace hypermesh {
namespace {

constexpr std::size_t kPieceBytes = 128 << 10;
// What a frame may make us allocate: 128 MiB. `zstd --long=27`, the largest that tools read
// unasked.
constexpr int kZstdWindowLogMax = 27;

std::unexpected<base::Error> refused(std::string why) {
  return base::fail(base::Errc::InvalidArgument, "the layer is refused: " + std::move(why));
}

bool starts_with(base::BytesView bytes, std::initializer_list<std::uint8_t> magic) {
  return bytes.size() >= magic.size() && std::equal(magic.begin(), magic.end(), bytes.begin());
}

}  // namespace

// Turns input into output. Consumes from the front of `in`; a result of 0 bytes asks for more
// input.
class LayerStream::Decoder {
 public:
  virtual ~Decoder() = default;
  virtual base::Result<std::size_t> decode(base::BytesView& in, std::span<std::uint8_t> out) = 0;
  /// Whether the input may end here.
  virtual bool whole() const = 0;
};

class LayerStream::Plain final : public Decoder {
 public:
  base::Result<std::size_t> decode(base::BytesView& in, std::span<std::uint8_t> out) override {
    const std::size_t count = std::min(in.size(), out.size());
    std::copy_n(in.begin(), count, out.begin());
    in = in.subspan(count);
    return count;
  }
  bool whole() const override { return true; }
};

class LayerStream::Gzip final : public Decoder {
 public:
  Gzip() { BASE_ASSERT(inflateInit2(&z_, 16 + MAX_WBITS) == Z_OK, "zlib cannot start"); }
  ~Gzip() override { inflateEnd(&z_); }

  base::Result<std::size_t> decode(base::BytesView& in, std::span<std::uint8_t> out) override {
    if (member_ended_ && !in.empty()) {  // gzip files may follow each other (RFC 1952 section 2.2)
      inflateReset(&z_);
      member_ended_ = false;
    }
    z_.next_in = const_cast<Bytef*>(in.data());
    z_.avail_in = uInt(in.size());
    z_.next_out = out.data();
    z_.avail_out = uInt(out.size());
    const int status = in.empty() ? Z_BUF_ERROR : inflate(&z_, Z_NO_FLUSH);
    in = in.subspan(in.size() - z_.avail_in);
    if (status == Z_STREAM_END) {
      member_ended_ = true;
    } else if (status != Z_OK && status != Z_BUF_ERROR) {
      return refused(
          fmt::format("its gzip stream is damaged: {}", z_.msg ? z_.msg : "unknown error"));
    }
    return out.size() - z_.avail_out;
  }
  bool whole() const override { return member_ended_; }

 private:
  z_stream z_{};
  bool member_ended_ = false;
};

class LayerStream::Zstd final : public Decoder {
 public:
  Zstd() : z_(ZSTD_createDStream()) {
    BASE_ASSERT(z_ != nullptr, "zstd cannot start");
    ZSTD_DCtx_setParameter(z_, ZSTD_d_windowLogMax, kZstdWindowLogMax);
  }
  ~Zstd() override { ZSTD_freeDStream(z_); }

  base::Result<std::size_t> decode(base::BytesView& in, std::span<std::uint8_t> out) override {
    ZSTD_inBuffer input{in.data(), in.size(), 0};
    ZSTD_outBuffer output{out.data(), out.size(), 0};
    const std::size_t left = ZSTD_decompressStream(z_, &output, &input);
    if (ZSTD_isError(left)) {
      return refused(fmt::format("its zstd stream is damaged: {}", ZSTD_getErrorName(left)));
    }
    in = in.subspan(input.pos);
    // Without any input it asks for the next frame, if one follows.
    if (input.pos > 0 || output.pos > 0) frame_ended_ = left == 0;
    return output.pos;
  }
  bool whole() const override { return frame_ended_; }

 private:
  ZSTD_DStream* z_;
  bool frame_ended_ = false;
};

LayerStream::LayerStream(int fd, std::uint64_t compressed_bytes, const UnpackLimits& limits)
    : fd_(fd),
      compressed_bytes_(compressed_bytes),
      limits_(limits),
      input_(kPieceBytes),
      output_(kPieceBytes) {}
LayerStream::~LayerStream() = default;

// False at the end of the input.
base::Result<bool> LayerStream::fill() {
  ssize_t got;
  do {
    got = ::read(fd_, input_.data(), input_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return base::fail_errno(errno, "cannot read the layer");
  unread_ = base::BytesView(input_).first(std::size_t(got));
  return got > 0;
}

base::Result<> LayerStream::begin() {
  // A short first read cannot tell the kind; files and pipes fill up unless they end.
  std::size_t have = 0;
  while (have < 6) {
    ssize_t got;
    do {
      got = ::read(fd_, input_.data() + have, input_.size() - have);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return base::fail_errno(errno, "cannot read the layer");
    if (got == 0) break;
    have += std::size_t(got);
  }
  unread_ = base::BytesView(input_).first(have);
  const bool zstd_skippable = unread_.size() >= 4 && (unread_[0] & 0xf0) == 0x50 &&
                              starts_with(unread_.subspan(1), {0x2a, 0x4d, 0x18});
  if (starts_with(unread_, {0x1f, 0x8b})) {
    decoder_ = std::make_unique<Gzip>();
  } else if (starts_with(unread_, {0x28, 0xb5, 0x2f, 0xfd}) || zstd_skippable) {
    decoder_ = std::make_unique<Zstd>();
  } else if (starts_with(unread_, {'B', 'Z', 'h'}) ||
             starts_with(unread_, {0xfd, '7', 'z', 'X', 'Z', 0})) {
    return base::fail(
        base::Errc::Unsupported,
        "the layer is compressed with bzip2 or xz; gzip, zstd and plain tar are supported");
  } else {
    decoder_ = std::make_unique<Plain>();
  }
  return {};
}

base::Result<base::BytesView> LayerStream::next() {
  if (!decoder_) TRY_DO(begin());
  while (!ended_) {
    TRY(const std::size_t count, decoder_->decode(unread_, output_));
    if (count > 0) {
      bytes_ += count;
      if (bytes_ > limits_.bytes_max) {
        return base::fail(
            base::Errc::ResourceExhausted,
            fmt::format("the layer is refused as a bomb: unpacked it has more than {} bytes",
                        limits_.bytes_max));
      }
      if (bytes_ > limits_.ratio_free_bytes && bytes_ / limits_.ratio_max > compressed_bytes_) {
        return base::fail(base::Errc::ResourceExhausted,
                          fmt::format("the layer is refused as a bomb: {} bytes unpack to more "
                                      "than {}, over {} times as many",
                                      compressed_bytes_, bytes_, limits_.ratio_max));
      }
      const base::BytesView piece = base::BytesView(output_).first(count);
      hash_.update(piece);
      return piece;
    }
    if (!unread_.empty()) continue;  // the decoder took its input in and gave nothing yet
    TRY(const bool more, fill());
    if (!more) {
      if (!decoder_->whole())
        return refused(fmt::format("it is cut off after {} uncompressed bytes", bytes_));
      ended_ = true;
    }
  }
  return base::BytesView();
}

}  // namespace hypermesh
