// consensus_status --cluster FOLDER [--replicas N]: a line "EPOCH VIEW APPLIED" for each replica.

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "sure_client.hpp"

namespace {

base::Task<> show(std::filesystem::path folder, std::size_t replicas) {
  bench::SureClient client(co_await boost::asio::this_coro::executor, folder, "client", replicas,
                           replicas);
  for (const auto& status : bench::must(co_await client.statuses(), "ask the replicas"))
    fmt::print("{} {} {}\n", status.epoch, status.view, status.applied);
  co_await client.stop();
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("What the replicas of consensus_cluster say of themselves: epoch, view, last slot.");
  std::string folder;
  std::size_t replicas = 4;
  app.add_option("--cluster", folder, "The cluster's folder")->required();
  app.add_option("--replicas", replicas, "How many; default 4");
  CLI11_PARSE(app, argc, argv);
  boost::asio::io_context context(1);
  bench::run(context, show(folder, replicas));
}
