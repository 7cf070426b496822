#include "testing/home.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "program.hpp"

namespace cli::testing {

base::WallTime FixedWallClock::wall() const {
  return base::parse_rfc3339("2026-11-21T12:30:00Z").value();
}

Home::Home() {
  std::string name = (std::filesystem::temp_directory_path() / "hm-test-XXXXXX").string();
  if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("no folder for the test");
  path_ = name;
}

Home::~Home() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string Home::file(const std::string& name, const std::string& content) const {
  const std::filesystem::path path = std::filesystem::path(path_) / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path) << content;
  return path;
}

namespace {

std::string content_of(int fd) {
  lseek(fd, 0, SEEK_SET);
  std::string out;
  char piece[4096];
  for (ssize_t count = read(fd, piece, sizeof piece); count > 0;
       count = read(fd, piece, sizeof piece))
    out.append(piece, static_cast<std::size_t>(count));
  close(fd);
  return out;
}

}  // namespace

Ran Home::run(std::vector<std::string> words, const std::string& input,
              std::map<std::string, std::string> variables) const {
  Environment environment;
  environment.variables = {
      {"HM_HOME", path_}, {"LANG", "C.UTF-8"}, {"PATH", "/usr/bin:/bin"}, {"HOME", path_}};
  for (auto& [name, value] : variables) environment.variables[name] = value;
  environment.executable = "/usr/bin/hypermesh";
  const Streams streams{memfd_create("in", MFD_CLOEXEC), memfd_create("out", MFD_CLOEXEC),
                        memfd_create("err", MFD_CLOEXEC)};
  if (write(streams.in, input.data(), input.size()) != static_cast<ssize_t>(input.size()))
    throw std::runtime_error("no input for the test");
  lseek(streams.in, 0, SEEK_SET);
  const FixedWallClock clock;
  Ran ran;
  ran.exit = run_program(words, environment, streams, clock);
  close(streams.in);
  ran.out = content_of(streams.out);
  ran.err = content_of(streams.err);
  return ran;
}

}  // namespace cli::testing
