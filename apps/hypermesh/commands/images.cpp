// image ls, pull, import, export, inspect, rm, gc.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "commands/all.hpp"
#include "commands/objects.hpp"
#include "output/units.hpp"
#include "session/files.hpp"

namespace cli {
namespace {

using base::Errc;
using base::Result;
using namespace std::chrono_literals;

std::string short_digest(const std::string& digest) {
  const std::size_t colon = digest.find(':');
  return digest.substr(colon == std::string::npos ? 0 : colon + 1, 12);
}

std::string name_of(const Json& image) {
  const auto& references = list_at(image, {"references"});
  return references.empty() || !references.front().is_string()
             ? text_at(image, {"id"})
             : references.front().get<std::string>();
}

Result<int> run_ls(Session& session, const Arguments&) {
  TRY(Api * api, session.api());
  TRY(const Json answer, api->get(own_path({"images"})));
  Document document;
  document.value = answer;
  document.value.emplace("apiVersion", kApiVersion);
  for (const Json& image : list_at(answer, {"items"})) document.names.push_back(name_of(image));
  document.table = [items = list_at(answer, {"items"}), &clock = session.clock()](bool wide) {
    std::vector<std::string> heads = {"REFERENCE", "ID", "SIZE", "USED", "AGE"};
    if (wide) heads.insert(heads.end(), {"PLATFORM", "DIGEST"});
    Table table(heads);
    for (const Json& image : items) {
      auto references = list_at(image, {"references"});
      if (references.empty()) references.emplace_back("<none>");
      for (const Json& reference : references) {
        std::vector<Cell> row = {
            reference.is_string() ? reference.get<std::string>() : "",
            short_digest(text_at(image, {"id"})),
            show_bytes(static_cast<std::uint64_t>(number_at(image, {"bytes"}))),
            flag_at(image, {"inUse"}) ? "yes" : "no", age_of(clock, text_at(image, {"created"}))};
        if (wide) {
          row.emplace_back(text_at(image, {"platform"}));
          row.emplace_back(text_at(image, {"digest"}));
        }
        table.row(std::move(row));
      }
    }
    return table;
  };
  document.when_empty = "no images";
  return session.show(document);
}

struct Pulled {
  Json image;  ///< {"reference","resolved","bytes"}
  std::optional<Receipt> receipt;
};

// Has the node fetch an image, with progress. `body`: {"reference","policy",...} of the API.
Result<Pulled> pull_image(Session& session, Api& api, const Json& body) {
  const std::string reference = text_at(body, {"reference"});
  const auto start = session.clock().now();
  Pulled pulled;
  std::optional<base::Error> failed;
  const auto on_line = [&](std::string_view line) -> Result<bool> {
    const Json event = Json::parse(line, nullptr, false);
    if (!event.is_object())
      return base::fail(Errc::DataLoss, "the node's answer to a pull cannot be read");
    const std::string type = text_at(event, {"type"});
    if (type == "Done") {
      pulled.image = at(event, {"image"});
      if (const Json& receipt = at(event, {"receipt"}); number_at(receipt, {"sequence"}) > 0) {
        pulled.receipt =
            Receipt{.sequence = static_cast<std::uint64_t>(number_at(receipt, {"sequence"})),
                    .root = text_at(receipt, {"root"}),
                    .signatures = static_cast<std::uint32_t>(number_at(receipt, {"signatures"})),
                    .signers = static_cast<std::uint32_t>(number_at(receipt, {"voters"}))};
      }
      return false;
    }
    if (type == "Error") {
      failed = api.read_refusal(at(event, {"status"}));
      return false;
    }
    const auto done = number_at(event, {"bytesDone"}), total = number_at(event, {"bytesTotal"});
    session.console().board().update(
        "image " + reference,
        fmt::format("{} of {}   {}/{} layers", show_bytes(static_cast<std::uint64_t>(done)),
                    show_bytes(static_cast<std::uint64_t>(total)), number_at(event, {"layersDone"}),
                    number_at(event, {"layersTotal"})),
        static_cast<std::size_t>(std::max<std::int64_t>(done, 0)),
        static_cast<std::size_t>(std::max<std::int64_t>(total, 0)));
    return true;
  };
  auto done = api.lines("POST", own_path({"images", "pull"}), body, on_line,
                        session.timeout_given() ? std::optional(session.timeout()) : std::nullopt);
  session.console().board().remove("image " + reference);
  if (failed) return std::unexpected(*std::move(failed));
  if (!done) return std::unexpected(std::move(done).error());
  if (pulled.image.is_null())
    return base::fail(
        Errc::Unavailable,
        fmt::format("image {}: the node ended the pull without an answer", reference));
  session.console().say(
      Outcome::Done,
      fmt::format("image {}   {} in {}", reference,
                  show_bytes(static_cast<std::uint64_t>(number_at(pulled.image, {"bytes"}))),
                  show_took(session.clock().now() - start)));
  return pulled;
}

Result<int> run_pull(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  Json body = {{"reference", arguments.word(0)},
               {"policy", arguments.has("if-missing") ? "IfNotPresent" : "Always"}};
  if (arguments.has("user")) {
    body["user"] = arguments.text("user");
    // A password on the command line would be seen by everybody on the machine.
    const std::string password = session.console().read_secret("password: ");
    body["password"] = password;
  }
  TRY(const Pulled pulled, pull_image(session, *api, body));
  const Json& image = pulled.image;
  if (session.format().for_programs()) {
    Document document;
    document.value = image;
    document.value["receipt"] = receipt_json(pulled.receipt);
    document.value.emplace("apiVersion", kApiVersion);
    document.value.emplace("kind", "Image");
    document.names = {text_at(image, {"resolved"})};
    return session.show(document);
  }
  // Standard output holds the name alone, for who captures it.
  if (pulled.receipt && !session.console().quiet())
    session.console().err(fit(session.console().err_look(), render_receipt(*pulled.receipt)) +
                          "\n");
  session.console().out(printable(text_at(image, {"resolved"})) + "\n");
  return 0;
}

Result<int> run_import(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  const std::string file = arguments.word(0);
  struct stat info{};
  if (file != "-" && stat(file.c_str(), &info) != 0)
    return base::fail_errno(errno, fmt::format("cannot read {}", file));
  if (file != "-" && S_ISDIR(info.st_mode)) {
    return std::unexpected(base::with_hint(
        base::make_error(Errc::InvalidArgument,
                         fmt::format("{} is a folder; an archive is imported", file)),
        fmt::format("tar -C {} -cf - . | hm image import -", file)));
  }
  const int fd = file == "-" ? session.console().in() : open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return base::fail_errno(errno, fmt::format("cannot read {}", file));
  std::uint64_t sent = 0;
  const auto next = [&]() -> Result<std::string> {
    std::string piece(256 * 1024, '\0');
    for (;;) {
      const ssize_t count = read(fd, piece.data(), piece.size());
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return base::fail_errno(errno, fmt::format("cannot read {}", file));
      piece.resize(static_cast<std::size_t>(count));
      sent += piece.size();
      session.console().board().update(file, show_bytes(sent), static_cast<std::size_t>(sent),
                                       static_cast<std::size_t>(info.st_size));
      return piece;
    }
  };
  const auto answer =
      api->upload("POST", own_path({"images", "import"}, {{"reference", arguments.text("name")}}),
                  "application/x-tar", next);
  if (file != "-") close(fd);
  session.console().board().remove(file);
  if (!answer) return std::unexpected(answer.error());
  Document document;
  document.value = answer->body;
  document.value.emplace("apiVersion", kApiVersion);
  document.value.emplace("kind", "Import");
  for (const Json& reference : list_at(answer->body, {"references"}))
    document.names.push_back(reference.is_string() ? reference.get<std::string>() : "");
  if (!session.format().for_programs()) {
    for (const std::string& reference : document.names)
      session.console().out(printable(reference) + "\n");
    session.show_receipt(answer->receipt);
    return 0;
  }
  return session.show(document);
}

Result<int> run_export(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  const std::string file = arguments.word(1).empty() ? "-" : arguments.word(1);
  if (file == "-" && session.console().out_look().terminal) {
    return base::fail(
        Errc::InvalidArgument,
        "an archive is not written to a terminal; name a file or send it through a pipe");
  }
  // A pipe or a device is written to; only a file is replaced.
  struct stat there{};
  const bool special = file != "-" && stat(file.c_str(), &there) == 0 && !S_ISREG(there.st_mode);
  const std::string partial = special ? file : file + ".partial";
  const int fd = file == "-" ? session.console().out_fd()
                 : special   ? open(file.c_str(), O_WRONLY | O_CLOEXEC)
                           : open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return base::fail_errno(errno, fmt::format("cannot write {}", partial));
  std::uint64_t received = 0;
  auto done =
      api->download(own_path({"images", "export"}, {{"reference", arguments.word(0)}}),
                    [&](std::string_view bytes) -> Result<> {
                      received += bytes.size();
                      session.console().board().update(file, show_bytes(received));
                      while (!bytes.empty()) {
                        const ssize_t written = write(fd, bytes.data(), bytes.size());
                        if (written < 0 && errno == EINTR) continue;
                        if (written < 0)
                          return base::fail_errno(errno, fmt::format("cannot write {}", partial));
                        bytes.remove_prefix(static_cast<std::size_t>(written));
                      }
                      return {};
                    });
  session.console().board().remove(file);
  if (file == "-") {
    TRY_DO(done);
    return 0;
  }
  if (done && !special && fsync(fd) != 0) done = base::fail_errno(errno, "cannot write " + partial);
  close(fd);
  // The name appears only with the whole archive behind it.
  if (special) {
    TRY_DO(done);
  } else if (!done || rename(partial.c_str(), file.c_str()) != 0) {
    const int reason = errno;
    unlink(partial.c_str());
    if (!done) return std::unexpected(std::move(done).error());
    return base::fail_errno(reason, fmt::format("cannot write {}", file));
  }
  session.console().say(Outcome::Done, fmt::format("{}  {}", file, show_bytes(received)));
  return 0;
}

Result<int> run_inspect(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  TRY(const Json answer,
      api->get(own_path({"images", "inspect"}, {{"reference", arguments.word(0)}})));
  Document document;
  document.value = answer;
  document.value.emplace("apiVersion", kApiVersion);
  document.value.emplace("kind", "ImageDetails");
  document.names = {arguments.word(0)};
  if (session.format().for_programs()) return session.show(document);
  document.table = [&answer, name = arguments.word(0)](bool) {
    Table table({"FIELD", "VALUE"});
    const Json& config = at(answer, {"config", "config"});
    const auto words = [&](const char* key) {
      std::string out;
      for (const Json& word : list_at(config, {key}))
        out +=
            (out.empty() ? "" : " ") + (word.is_string() ? word.get<std::string>() : word.dump());
      return out;
    };
    table.row({"reference", name});
    table.row({"platform", fmt::format("{}/{}", text_at(answer, {"config", "os"}),
                                       text_at(answer, {"config", "architecture"}))});
    table.row({"created", text_at(answer, {"config", "created"})});
    table.row({"entrypoint", words("Entrypoint")});
    table.row({"command", words("Cmd")});
    table.row({"user", text_at(config, {"User"})});
    table.row({"folder", text_at(config, {"WorkingDir"})});
    std::string ports;
    if (const Json& exposed = at(config, {"ExposedPorts"}); exposed.is_object()) {
      for (const auto& [port, nothing] : exposed.items())
        ports += (ports.empty() ? "" : " ") + port;
    }
    table.row({"ports", ports});
    for (const Json& variable : list_at(config, {"Env"}))
      table.row({"env", variable.is_string() ? variable.get<std::string>() : ""});
    for (const Json& layer : list_at(answer, {"manifest", "layers"})) {
      table.row({"layer",
                 fmt::format("{}  {}", short_digest(text_at(layer, {"digest"})),
                             show_bytes(static_cast<std::uint64_t>(number_at(layer, {"size"}))))});
    }
    return table;
  };
  return session.show(document);
}

Result<int> run_rm(Session& session, const Arguments& arguments) {
  TRY(Api * api, session.api());
  Plan plan{"images of the node", "", {}};
  for (const std::string& reference : arguments.words()) {
    TRY_DO(api->get(own_path({"images", "inspect"}, {{"reference", reference}})));
    plan.lines.push_back({PlanLine::Mark::Remove, "image/" + reference, ""});
  }
  TRY(const bool go, session.decide(plan));
  if (!go) return 0;
  for (const std::string& reference : arguments.words()) {
    TRY(const Answer answer, api->send("DELETE", own_path({"images"}, {{"reference", reference}})));
    if (!session.format().for_programs())
      session.console().out(fmt::format("image/{} removed\n", printable(reference)));
    session.show_receipt(answer.receipt);
  }
  return 0;
}

Result<int> run_gc(Session& session, const Arguments&) {
  TRY(Api * api, session.api());
  TRY(const Answer answer,
      api->send("POST", own_path({"images", "gc"}), nullptr, "application/json", 5min));
  const Json& freed = answer.body;
  if (!session.format().for_programs()) {
    session.console().out(
        fmt::format("{} freed: {} blobs, {} layers\n",
                    show_bytes(static_cast<std::uint64_t>(number_at(freed, {"bytesFreed"}))),
                    number_at(freed, {"blobsRemoved"}), number_at(freed, {"layersRemoved"})));
    session.show_receipt(answer.receipt);
    return 0;
  }
  Document document;
  document.value = freed;
  document.value.emplace("apiVersion", kApiVersion);
  document.value.emplace("kind", "GarbageCollection");
  return session.show(document);
}

constexpr Argument kReference[] = {{"REFERENCE", true, false, Completes::Image}};
constexpr Argument kReferences[] = {{"REFERENCE", true, true, Completes::Image}};
constexpr Argument kImportArguments[] = {{"FILE", true, false, Completes::File}};
constexpr Argument kExportArguments[] = {{"REFERENCE", true, false, Completes::Image},
                                         {"FILE", false, false, Completes::File}};
constexpr Flag kPullFlags[] = {
    {"if-missing", '\0', "", "only when the node does not have it"},
    {"user", '\0', "NAME", "log in to the registry; the password is read from standard input"}};
constexpr Flag kImportFlags[] = {
    {"name", '\0', "REFERENCE", "call the image so; default: as the archive says"}};
constexpr Example kLsExamples[] = {{"hm image ls", ""}};
constexpr Example kPullExamples[] = {{"hm image pull nginx:1.28", ""}};
constexpr Example kImportExamples[] = {
    {"hm image import web.tar", ""},
    {"skopeo copy docker-daemon:web:1 oci-archive:/dev/stdout:web:1 | hm image import -",
     "from another program"}};
constexpr Example kExportExamples[] = {{"hm image export nginx:1.28 nginx.tar", ""}};
constexpr Example kInspectExamples[] = {{"hm image inspect nginx:1.28 -o json", ""}};
constexpr Example kRmExamples[] = {{"hm image rm nginx:1.27", ""}};
constexpr Example kGcExamples[] = {{"hm image gc", ""}};

}  // namespace

constinit const Command kImageLs = {.path = "image ls",
                                    .summary = "images on the node",
                                    .description = "",
                                    .examples = kLsExamples,
                                    .run = run_ls};
constinit const Command kImagePull = {.path = "image pull",
                                      .summary = "fetch an image from its registry",
                                      .description =
                                          "Prints the image's name with its digest. Registries on "
                                          "a loopback address may be without TLS, no others.",
                                      .arguments = kReference,
                                      .flags = kPullFlags,
                                      .examples = kPullExamples,
                                      .acts_at_once = true,
                                      .run = run_pull};
constinit const Command kImageImport = {
    .path = "image import",
    .summary = "take images from an OCI archive",
    .description =
        "FILE is a tar archive of an OCI layout or of `docker save`; \"-\" is standard input.",
    .arguments = kImportArguments,
    .flags = kImportFlags,
    .examples = kImportExamples,
    .acts_at_once = true,
    .run = run_import};
constinit const Command kImageExport = {.path = "image export",
                                        .summary = "write an image as an OCI archive",
                                        .description = "Without FILE to standard output.",
                                        .arguments = kExportArguments,
                                        .examples = kExportExamples,
                                        .run = run_export};
constinit const Command kImageInspect = {.path = "image inspect",
                                         .summary = "what an image says about itself",
                                         .description = "",
                                         .arguments = kReference,
                                         .examples = kInspectExamples,
                                         .run = run_inspect};
constinit const Command kImageRm = {
    .path = "image rm",
    .summary = "forget images by their names",
    .description = "What running containers use stays until they end. hm image gc frees the space.",
    .arguments = kReferences,
    .examples = kRmExamples,
    .run = run_rm};
constinit const Command kImageGc = {.path = "image gc",
                                    .summary = "free what no image and no container needs",
                                    .description = "",
                                    .examples = kGcExamples,
                                    .acts_at_once = true,
                                    .run = run_gc};

}  // namespace cli
