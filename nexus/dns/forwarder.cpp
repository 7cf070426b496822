#include "dns/forwarder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <base/async/timeout.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "dns/message.hpp"

namespace nexus::dns {

namespace asio = boost::asio;
using base::Bytes;
using base::Errc;
using base::fail;
using base::Result;

namespace {

void set_id(Bytes& message, std::uint16_t id) {
  message[0] = static_cast<std::uint8_t>(id >> 8);
  message[1] = static_cast<std::uint8_t>(id);
}

}  // namespace

Forwarder::Forwarder(std::vector<Server> servers, std::size_t under_way_max,
                     std::size_t cache_entries_max, const base::Clock& clock, base::Rng& rng)
    : servers_(std::move(servers)),
      under_way_max_(under_way_max),
      clock_(clock),
      rng_(rng),
      cache_(cache_entries_max) {}

base::Task<Result<Bytes>> Forwarder::ask(Bytes question) {
  const std::string key = question_key(question);
  if (key.empty()) co_return fail(Errc::InvalidArgument, "not a DNS question");
  const auto asked_id = static_cast<std::uint16_t>(question[0] << 8 | question[1]);
  if (auto found = cache_.find(question, clock_.now())) co_return std::move(*found);
  if (under_way_ >= under_way_max_)
    co_return fail(Errc::ResourceExhausted, "too many forwarded questions are under way");
  struct UnderWay {
    explicit UnderWay(std::size_t& count) : count_(count) { ++count_; }
    ~UnderWay() { --count_; }
    std::size_t& count_;
  } counted(under_way_);

  std::string tried;
  for (const Server& server : servers_) {
    const auto id = static_cast<std::uint16_t>(rng_.u64());
    set_id(question, id);
    auto answer = co_await base::with_timeout(ask_server(server, question, id), kServerTimeout,
                                              server.address);
    if (!answer) {
      tried += (tried.empty() ? "" : "; ") + answer.error().describe();
      continue;
    }
    if (((*answer)[2] & 0x02) != 0) {  // Truncated: the whole comes over TCP.
      auto whole = co_await base::with_timeout(ask_over_tcp(server, question), kServerTimeout,
                                               server.address);
      if (whole) answer = std::move(whole);
    }
    if (question_key(*answer) != key) {
      tried +=
          fmt::format("{}{} answered another question", tried.empty() ? "" : "; ", server.address);
      continue;
    }
    cache_.keep(question, *answer, clock_.now());
    set_id(*answer, asked_id);
    co_return std::move(*answer);
  }
  co_return fail(Errc::TimedOut, "no DNS server answered: " + tried);
}

base::Task<Result<Bytes>> Forwarder::ask_server(const Server& server, const Bytes& question,
                                                std::uint16_t id) {
  using asio::ip::udp;
  boost::system::error_code error;
  const udp::endpoint to(asio::ip::make_address(server.address, error), server.port);
  udp::socket socket(co_await asio::this_coro::executor);
  // Connecting gives a random port and drops what comes from anybody else.
  if (!error) socket.open(to.protocol(), error);
  if (!error) socket.connect(to, error);
  if (error) {
    co_return std::unexpected(base::from_system_error(error, server.address));
  }
  if (auto [failed, count] = co_await socket.async_send(asio::buffer(question), base::use_result);
      failed) {
    co_return std::unexpected(base::from_system_error(failed, server.address));
  }
  socket.non_blocking(true, error);
  for (;;) {
    // A question that waits costs no buffer: there may be many.
    if (auto [failed] = co_await socket.async_wait(udp::socket::wait_read, base::use_result);
        failed)
      co_return std::unexpected(base::from_system_error(failed, server.address));
    Bytes answer(std::clamp(socket.available(error), kHeaderBytes, kTcpBytesMax));
    const std::size_t count = socket.receive(asio::buffer(answer), 0, error);
    if (error == asio::error::would_block) continue;
    if (error) co_return std::unexpected(base::from_system_error(error, server.address));
    if (count < kHeaderBytes || (answer[0] << 8 | answer[1]) != id || (answer[2] & 0x80) == 0)
      continue;
    answer.resize(count);
    co_return answer;
  }
}

base::Task<Result<Bytes>> Forwarder::ask_over_tcp(const Server& server, const Bytes& question) {
  using asio::ip::tcp;
  boost::system::error_code error;
  const tcp::endpoint to(asio::ip::make_address(server.address, error), server.port);
  tcp::socket socket(co_await asio::this_coro::executor);
  if (auto [failed] = co_await socket.async_connect(to, base::use_result); failed) {
    co_return std::unexpected(base::from_system_error(failed, server.address));
  }
  Bytes framed = {static_cast<std::uint8_t>(question.size() >> 8),
                  static_cast<std::uint8_t>(question.size())};
  framed.insert(framed.end(), question.begin(), question.end());
  if (auto [failed, count] =
          co_await asio::async_write(socket, asio::buffer(framed), base::use_result);
      failed) {
    co_return std::unexpected(base::from_system_error(failed, server.address));
  }
  std::array<std::uint8_t, 2> size{};
  if (auto [failed, count] =
          co_await asio::async_read(socket, asio::buffer(size), base::use_result);
      failed) {
    co_return std::unexpected(base::from_system_error(failed, server.address));
  }
  Bytes answer(static_cast<std::size_t>(size[0] << 8 | size[1]));
  if (auto [failed, count] =
          co_await asio::async_read(socket, asio::buffer(answer), base::use_result);
      failed) {
    co_return std::unexpected(base::from_system_error(failed, server.address));
  }
  if (answer.size() < kHeaderBytes || answer[0] != question[0] || answer[1] != question[1]) {
    co_return fail(Errc::DataLoss, server.address + " answered another question");
  }
  co_return answer;
}

}  // namespace nexus::dns
