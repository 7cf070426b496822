#include "dns/udp_responder.hpp"

#include <netinet/in.h>
#include <pthread.h>
#include <unistd.h>

#include <array>
#include <base/time.hpp>
#include <cerrno>

#include "dns/answer.hpp"

namespace nexus::dns {
namespace {

constexpr std::size_t kBatch = 32;
constexpr std::size_t kQuestionBytesMax = 2048;

// Buffers of one batch: what came in, what goes out.
struct Batch {
  std::array<std::array<std::uint8_t, kQuestionBytesMax>, kBatch> in;
  std::array<std::array<std::uint8_t, kUdpBytesMax>, kBatch> out;
  std::array<sockaddr_storage, kBatch> peers;
  std::array<iovec, kBatch> in_vectors, out_vectors;
  std::array<mmsghdr, kBatch> in_messages, out_messages;
};

}  // namespace

UdpResponder::UdpResponder(int socket, const CurrentZone& zone, Forward forward,
                           base::Counter& answered, base::Histogram& resolution)
    : socket_(socket),
      zone_(zone),
      forward_(std::move(forward)),
      answered_(answered),
      resolution_(resolution),
      thread_([this] { run(); }) {
  pthread_setname_np(thread_.native_handle(), "dns-udp");
}

UdpResponder::~UdpResponder() {
  stopping_ = true;
  wake();
  thread_.join();
  close(socket_);
}

// A datagram to ourselves ends the blocking call; a signal would need a handler of the whole
// process.
void UdpResponder::wake() {
  sockaddr_storage self{};
  socklen_t bytes = sizeof self;
  if (getsockname(socket_, reinterpret_cast<sockaddr*>(&self), &bytes) == 0) {
    sendto(socket_, "", 0, MSG_DONTWAIT, reinterpret_cast<const sockaddr*>(&self), bytes);
  }
}

void UdpResponder::run() {
  const auto batch = std::make_unique<Batch>();
  std::shared_ptr<const Zone> zone;
  std::uint64_t generation = 0;
  std::uint32_t rotation = 0;
  const base::SystemClock clock;
  while (!stopping_) {
    for (std::size_t i = 0; i < kBatch; ++i) {
      batch->in_vectors[i] = {batch->in[i].data(), batch->in[i].size()};
      batch->in_messages[i] = {};
      batch->in_messages[i].msg_hdr.msg_name = &batch->peers[i];
      batch->in_messages[i].msg_hdr.msg_namelen = sizeof batch->peers[i];
      batch->in_messages[i].msg_hdr.msg_iov = &batch->in_vectors[i];
      batch->in_messages[i].msg_hdr.msg_iovlen = 1;
    }
    const int received =
        recvmmsg(socket_, batch->in_messages.data(), kBatch, MSG_WAITFORONE, nullptr);
    if (received < 0) {
      // ICMP errors of earlier answers show up here; a socket that is really broken must not spin.
      if (errno == EBADF || errno == ENOTSOCK || errno == EINVAL) return;
      continue;
    }
    const auto start = clock.now();
    if (const std::uint64_t now = zone_.generation(); now != generation) {
      generation = now;
      zone = zone_.get();
    }
    unsigned ready = 0;
    for (int i = 0; i < received; ++i) {
      const auto slot = static_cast<std::size_t>(i);
      const mmsghdr& message = batch->in_messages[slot];
      const base::BytesView question(batch->in[slot].data(), message.msg_len);
      auto& out = batch->out[ready];
      const Answer answered =
          answer(*zone, question, false, rotation++, out, static_cast<bool>(forward_));
      if (answered.disposition == Disposition::Drop) continue;
      if (forward_ && (answered.disposition == Disposition::Elsewhere || !answered.alias.empty())) {
        UdpPeer from{socket_, batch->peers[slot], message.msg_hdr.msg_namelen};
        forward_(base::Bytes(question.begin(), question.end()), from);
        continue;
      }
      batch->out_vectors[ready] = {out.data(), answered.bytes};
      batch->out_messages[ready] = {};
      batch->out_messages[ready].msg_hdr.msg_name = &batch->peers[slot];
      batch->out_messages[ready].msg_hdr.msg_namelen = message.msg_hdr.msg_namelen;
      batch->out_messages[ready].msg_hdr.msg_iov = &batch->out_vectors[ready];
      batch->out_messages[ready].msg_hdr.msg_iovlen = 1;
      ++ready;
    }
    for (unsigned sent = 0; sent < ready;) {
      const int count = sendmmsg(socket_, batch->out_messages.data() + sent, ready - sent, 0);
      // An answer that the kernel refuses (no route to that client) is dropped; the rest go out.
      sent += count > 0 ? static_cast<unsigned>(count) : 1;
    }
    if (ready == 0) continue;
    answered_.add(ready);
    resolution_.observe(std::chrono::duration<double>(clock.now() - start).count() / ready);
  }
}

}  // namespace nexus::dns
