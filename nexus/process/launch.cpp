#include "process/launch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace nexus::process {

namespace {

/// More is refused by the kernel.
constexpr std::size_t kStringBytesMax = 128u << 10;
constexpr std::size_t kStringsMax = 64u << 10;
constexpr std::string_view kPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

void add_default(Launch& launch, std::string_view name, std::string_view value) {
  const std::string begin = fmt::format("{}=", name);
  const bool given = std::ranges::any_of(
      launch.environment, [&](const std::string& each) { return each.starts_with(begin); });
  if (!given) launch.environment.push_back(fmt::format("{}{}", begin, value));
}

void write(base::ByteWriter& writer, const std::vector<std::string>& strings) {
  writer.u32(static_cast<std::uint32_t>(strings.size()));
  for (const std::string& each : strings) writer.sized(each);
}

base::Result<std::string> read_string(base::ByteReader& reader) {
  TRY(const base::BytesView bytes, reader.sized(kStringBytesMax));
  return std::string(base::as_text(bytes));
}

base::Result<std::vector<std::string>> read_strings(base::ByteReader& reader) {
  TRY(const std::uint32_t count, reader.u32());
  if (count > kStringsMax)
    return base::fail(base::Errc::DataLoss, fmt::format("{} strings in a launch", count));
  std::vector<std::string> strings;
  for (std::uint32_t i = 0; i < count; ++i) {
    TRY(strings.emplace_back(), read_string(reader));
  }
  return strings;
}

}  // namespace

std::string mark_of_pod(std::string_view pod_uid) {
  return fmt::format("{}={}/", kMarkVariable, pod_uid);
}

std::string mark_of(const ContainerId& id, std::uint32_t attempt) {
  return fmt::format("{}{}/{}", mark_of_pod(id.pod_uid), id.name, attempt);
}

Launch launch_of(const ContainerSpec& spec, const PodRecord& pod, const std::string& work) {
  Launch launch;
  launch.arguments = spec.command.empty() ? std::vector<std::string>{spec.image} : spec.command;
  launch.arguments.insert(launch.arguments.end(), spec.args.begin(), spec.args.end());
  for (const auto& [name, value] : spec.env)
    launch.environment.push_back(fmt::format("{}={}", name, value));
  add_default(launch, "PATH", kPath);
  add_default(launch, "HOME", work);
  add_default(launch, "HOSTNAME", pod.hostname);
  std::erase_if(launch.environment, [](const std::string& each) {
    return each.starts_with(fmt::format("{}=", kMarkVariable));
  });
  launch.environment.push_back(mark_of(spec.id, spec.attempt));
  launch.folder = spec.working_directory.empty() ? work : spec.working_directory;
  launch.no_new_privileges = spec.security.no_new_privileges;
  return launch;
}

Launch beside(const Launch& container, std::vector<std::string> command) {
  Launch launch = container;
  launch.arguments = std::move(command);
  return launch;
}

base::Bytes encode(const Launch& launch) {
  base::ByteWriter writer;
  write(writer, launch.arguments);
  write(writer, launch.environment);
  writer.sized(launch.folder);
  writer.u8(launch.no_new_privileges ? 1 : 0);
  return std::move(writer).take();
}

base::Result<Launch> decode_launch(base::BytesView bytes) {
  base::ByteReader reader(bytes);
  Launch launch;
  TRY(launch.arguments, read_strings(reader));
  TRY(launch.environment, read_strings(reader));
  TRY(launch.folder, read_string(reader));
  TRY(const std::uint8_t privileges, reader.u8());
  launch.no_new_privileges = privileges != 0;
  TRY_DO(reader.end());
  if (launch.arguments.empty())
    return base::fail(base::Errc::DataLoss, "a launch without a program");
  return launch;
}

std::string encode(const StartFailure& failure) {
  return fmt::format("{} {}", failure.error_number, failure.what);
}

base::Error start_error(std::string_view report) {
  int number = 0;
  const auto [end, wrong] = std::from_chars(report.data(), report.data() + report.size(), number);
  report.remove_prefix(static_cast<std::size_t>(end - report.data()));
  if (wrong != std::errc() || !report.starts_with(' ')) {
    return base::make_error(base::Errc::Internal, "a program did not start and does not say why");
  }
  return base::errno_error(number, std::string(report.substr(1)));
}

}  // namespace nexus::process
