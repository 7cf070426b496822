#include "datapath/keeper_service_network.hpp"

#include <gtest/gtest.h>

#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "datapath/service_table.hpp"

namespace hypermesh::datapath {
namespace {

template <class T>
T run(base::Task<T> task) {
  base::asio::io_context context;
  std::optional<T> result;
  base::asio::co_spawn(context, std::move(task), [&](std::exception_ptr error, T value) {
    ASSERT_FALSE(error);
    result.emplace(std::move(value));
  });
  context.run();
  return std::move(*result);
}

TEST(KeeperServiceNetwork, SendsTheTableAndAgainToANewKeeper) {
  std::vector<base::Bytes> sent;
  KeeperServiceNetwork network([&](base::Bytes table) -> base::Task<base::Result<>> {
    sent.push_back(std::move(table));
    co_return base::Result<>{};
  });
  EXPECT_TRUE(run(network.send_again()));
  EXPECT_TRUE(sent.empty()) << "nothing to send yet";
  EXPECT_TRUE(run(network.apply({{.service = "default/web:http",
                                  .address = "10.77.240.5",
                                  .port = 80,
                                  .backends = {{"10.77.1.2", 8080}}}})));
  EXPECT_TRUE(run(network.send_again()));
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0], sent[1]);
  EXPECT_EQ(decode_service_table(sent[0])->entries()[0].name, "default/web:http");
}

TEST(KeeperServiceNetwork, ANewKeeperIsToldUntilItKnows) {
  int failures_left = 0, sent = 0, complaints = 0;
  KeeperServiceNetwork network([&](base::Bytes) -> base::Task<base::Result<>> {
    ++sent;
    if (failures_left-- > 0) co_return base::fail(base::Errc::Unavailable, "no keeper");
    co_return base::Result<>{};
  });
  EXPECT_TRUE(run(network.apply({{.service = "default/web:http",
                                  .address = "10.77.240.5",
                                  .port = 80,
                                  .backends = {{"10.77.1.2", 8080}}}})));
  for (const int failures : {3, 0}) {
    failures_left = failures;
    sent = complaints = 0;
    base::asio::io_context context;
    const auto complain = [&](const base::Error&) { ++complaints; };
    base::asio::co_spawn(context, network.tell_new_keeper(std::chrono::microseconds(1), complain),
                         base::asio::detached);
    context.run();
    EXPECT_EQ(sent, failures + 1);
    EXPECT_EQ(complaints, failures);
  }
}

TEST(KeeperServiceNetwork, ATableThatCannotBeServedIsNotSent) {
  KeeperServiceNetwork network([](base::Bytes) -> base::Task<base::Result<>> {
    ADD_FAILURE() << "sent";
    co_return base::Result<>{};
  });
  const auto applied =
      run(network.apply({{.service = "default/web:http", .address = "web", .port = 80}}));
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, base::Errc::InvalidArgument);
}

}  // namespace
}  // namespace hypermesh::datapath
