#include "testing/fake_node.hpp"

#include <algorithm>
#include <base/async/task_scope.hpp>
#include <base/http/server_connection.hpp>
#include <base/http/socket.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <manifest/kinds.hpp>
#include <manifest/patch.hpp>

#include "output/json_access.hpp"

namespace cli::testing {
namespace {

using base::Task;
using base::http::Headers;
using nexus::manifest::KindInfo;

std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(std::stoi(std::string(text.substr(i + 1, 2)), nullptr, 16));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(by), text.size());
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

struct Place {
  const KindInfo* kind = nullptr;
  std::string name_space, name, part;
};

// /api/v1/namespaces/NS/pods/NAME/log, /apis/GROUP/VERSION/...
Place place_of(const std::string& path) {
  auto words = split(path, '/');
  Place place;
  if (words.size() < 3) return place;
  std::size_t at = 3;
  std::string group, version = words[2];
  if (words[1] == "apis") {
    if (words.size() < 4) return place;
    group = words[2];
    version = words[3];
    at = 4;
  }
  if (words.size() > at + 2 && words[at] == "namespaces") {
    place.name_space = words[at + 1];
    at += 2;
  }
  if (words.size() <= at) return place;
  place.kind = nexus::manifest::find_resource(group, version, words[at]);
  if (words.size() > at + 1) place.name = decode(words[at + 1]);
  if (words.size() > at + 2) place.part = words[at + 2];
  return place;
}

// Deployments run at once; "bad" in the image never becomes ready, "gone" never starts.
void settle(Json& object) {
  const std::string kind = text_at(object, {"kind"});
  if (kind == "Deployment") {
    const std::int64_t replicas = number_at(object, {"spec", "replicas"}, 1);
    const bool bad = object["spec"]["template"].dump().find("bad") != std::string::npos;
    object["status"] = {{"observedGeneration", object["metadata"]["generation"]},
                        {"replicas", bad ? replicas + 1 : replicas},
                        {"updatedReplicas", bad ? 1 : replicas},
                        {"readyReplicas", replicas},
                        {"availableReplicas", replicas}};
  } else if (kind == "Service" && !at(object, {"spec"}).contains("clusterIP")) {
    // An address where nobody is: the discard prefix (RFC 6666).
    object["spec"]["clusterIP"] = "100::1";
    object["spec"]["clusterIPs"] = {"100::1"};
  }
}

}  // namespace

FakeAnswer refuse(int status, const std::string& errc, const std::string& message,
                  const std::vector<std::string>& hints, const Json& causes) {
  FakeAnswer answer;
  answer.status = status;
  answer.body = {{"kind", "Status"},
                 {"apiVersion", "v1"},
                 {"status", "Failure"},
                 {"message", message},
                 {"reason", errc},
                 {"code", status},
                 {"errc", errc},
                 {"hints", hints},
                 {"details", {{"traceId", "7f3a0c"}, {"causes", causes}}}};
  return answer;
}

struct FakeNode::Shared {
  base::asio::io_context context;
  std::unique_ptr<base::http::Listener> listener;
  std::unique_ptr<base::TaskScope> scope;
  mutable std::mutex mutex;
  Handler handler;
  std::map<std::string, Json> objects;   // by "Kind/ns/name"
  std::map<std::string, Json> previous;  // template before the last write of a Deployment
  std::uint64_t version = 100, receipts = 0;
  std::vector<std::string> requests;

  static std::string key(const std::string& kind, const std::string& name_space,
                         const std::string& name) {
    return kind + "/" + name_space + "/" + name;
  }

  FakeAnswer answer(const FakeRequest& request) {
    requests.push_back(request.method + " " + request.path);
    if (handler) {
      if (auto own = handler(request)) return *own;
    }
    if (request.path.starts_with("/apis/hypermesh.io/v1/"))
      return own_resource(request, split(request.path, '/'));
    const Place place = place_of(request.path);
    if (place.kind == nullptr) return refuse(404, "NotFound", "no such path " + request.path);
    return object_request(request, place);
  }

  Json pods_of_deployments() const {
    Json::array_t items;
    for (const auto& [key, object] : objects) {
      if (text_at(object, {"kind"}) != "Deployment") continue;
      const std::string name = text_at(object, {"metadata", "name"});
      const bool bad = object["spec"]["template"].dump().find("bad") != std::string::npos;
      for (std::int64_t i = 0; i < number_at(object, {"spec", "replicas"}, 1); ++i) {
        items.push_back(
            {{"name", name + "-1-" + std::string(1, static_cast<char>('a' + i))},
             {"namespace", text_at(object, {"metadata", "namespace"})},
             {"ready", !bad},
             {"readyContainers", bad ? 0 : 1},
             {"containers", 1},
             {"state", bad ? "CrashLoopBackOff" : "Running"},
             {"message", bad ? "exited 1 twice; last line: \"no\"" : ""},
             {"restarts", bad ? 2 : 0},
             {"lastRestart", bad ? "2026-11-21T12:29:19Z" : ""},
             {"node", "n1"},
             {"ip", "fd00:1::" + std::to_string(i + 1)},
             {"workload", name},
             {"workloadKind", "Deployment"},
             {"pid", 4000 + i},
             {"image", text_at(object["spec"]["template"]["spec"]["containers"][0], {"image"})},
             {"created", "2026-11-21T12:18:00Z"}});
      }
    }
    return items;
  }

  FakeAnswer own_resource(const FakeRequest& request, const std::vector<std::string>& words) {
    FakeAnswer out;
    const std::string& what = words[4];
    if (what == "ps") {
      Json::array_t items;
      for (const Json& item : pods_of_deployments()) {
        const auto name_space = request.query.find("namespace");
        if (name_space == request.query.end() || text_at(item, {"namespace"}) == name_space->second)
          items.push_back(item);
      }
      out.body = {{"kind", "PsList"}, {"apiVersion", "hypermesh.io/v1"}, {"items", items}};
    } else if (what == "deployments" && words.size() > 7) {
      const auto found = objects.find(key("Deployment", words[5], words[6]));
      if (found == objects.end())
        return refuse(404, "NotFound",
                      "deployment/" + words[6] + " does not exist in namespace " + words[5]);
      Json& object = found->second;
      const std::string& verb = words[7];
      if (verb == "history") {
        out.body = {{"kind", "RevisionList"},
                    {"apiVersion", "hypermesh.io/v1"},
                    {"items",
                     {{{"revision", 2},
                       {"images", {"web:2"}},
                       {"who", "ana"},
                       {"when", "2026-11-21T12:00:00Z"},
                       {"receipt", 41},
                       {"state", "current"}},
                      {{"revision", 1},
                       {"images", {"web:1"}},
                       {"who", "bob"},
                       {"when", "2026-11-20T12:00:00Z"},
                       {"receipt", 7},
                       {"state", "superseded"}}}}};
        return out;
      }
      if (verb == "rollback" && previous.contains(found->first))
        object["spec"]["template"] = previous[found->first];
      if (verb == "pause" || verb == "resume") object["spec"]["paused"] = verb == "pause";
      object["metadata"]["generation"] = number_at(object, {"metadata", "generation"}) + 1;
      settle(object);
      out.body = object;
      receipt(out);
    } else if (what == "node") {
      out.body = {{"name", "n1"},
                  {"state", "Ready"},
                  {"api", "[::1]:8443"},
                  {"stoq", "[::1]:9292"},
                  {"dns", "[::1]:53"},
                  {"version", "0.1.0"},
                  {"pid", 77},
                  {"addresses", {"::1"}},
                  {"started", "2026-11-21T12:00:00Z"},
                  {"problems", Json::array()}};
    } else if (what == "whoami") {
      out.body = {{"user", "root"},
                  {"role", "admin"},
                  {"origin", "unix"},
                  {"roles", {"admin", "edit", "view"}}};
    } else if (what == "can-i") {
      out.body = {{"allowed", request.query.at("verb") != "delete"}, {"reason", "role admin"}};
    } else if (what == "images" && words.size() == 5 && request.method == "GET") {
      out.body = {{"kind", "ImageList"},
                  {"apiVersion", "hypermesh.io/v1"},
                  {"items",
                   {{{"id", "sha256:0123456789abcdef"},
                     {"references", {"web:1"}},
                     {"digest", "sha256:aa"},
                     {"platform", "linux/amd64"},
                     {"bytes", 71723648},
                     {"created", "2026-11-20T12:30:00Z"},
                     {"inUse", true}}}}};
    } else if (what == "doctor") {
      out.body = {{"items",
                   {{{"name", "dns"}, {"state", "ok"}, {"message", "dns answers"}, {"hint", ""}}}}};
    } else if (what == "top") {
      out.body = {{"time", "2026-11-21T12:30:00Z"},
                  {"items",
                   {{{"namespace", "default"},
                     {"name", "web-1-a"},
                     {"uid", "u"},
                     {"containers",
                      {{{"name", "web"},
                        {"cpuMillis", 12},
                        {"memoryBytes", 1048576},
                        {"processes", 2}}}}}}}};
    } else if (what == "audit" && words.size() == 5) {
      out.body = {{"kind", "AuditList"},
                  {"apiVersion", "hypermesh.io/v1"},
                  {"treeSize", 2},
                  {"root", "ab"},
                  {"items",
                   {{{"sequence", 2},
                     {"time", "2026-11-21T12:29:00Z"},
                     {"user", "ana"},
                     {"role", "admin"},
                     {"action", "update"},
                     {"object", "deployment/web"},
                     {"namespace", "default"},
                     {"result", "ok"},
                     {"from", "unix"}}}}};
    } else if (what == "why") {
      return refuse(404, "NotFound", "nothing is known about it");
    } else {
      return refuse(404, "NotFound", "no such path " + request.path);
    }
    return out;
  }

  void receipt(FakeAnswer& out) {
    ++receipts;
    out.headers["HyperMesh-Receipt"] = Json{{"sequence", receipts},
                                            {"treeSize", receipts},
                                            {"root", std::string(64, 'b')},
                                            {"signatures", 1},
                                            {"voters", 1}}
                                           .dump();
  }

  FakeAnswer object_request(const FakeRequest& request, const Place& place) {
    const std::string kind(place.kind->kind);
    FakeAnswer out;
    if (place.name.empty() && request.method == "GET") {
      Json::array_t items;
      for (const auto& [key, object] : objects) {
        if (text_at(object, {"kind"}) == kind &&
            (place.name_space.empty() ||
             text_at(object, {"metadata", "namespace"}) == place.name_space))
          items.push_back(object);
      }
      return list(request, items, kind);
    }
    const bool dry = request.query.contains("dryRun");
    if (place.name.empty()) {
      Json object = Json::parse(request.body);
      const std::string name = text_at(object, {"metadata", "name"});
      if (objects.contains(key(kind, place.name_space, name)))
        return refuse(409, "AlreadyExists", kind + " " + name + " exists");
      if (place.kind->namespaced) object["metadata"]["namespace"] = place.name_space;
      out.status = 201;
      out.body = store(std::move(object), dry);
      if (!dry) receipt(out);
      return out;
    }
    const auto found = objects.find(key(kind, place.name_space, place.name));
    if (found == objects.end())
      return refuse(404, "NotFound",
                    std::string(place.kind->singular) + "/" + place.name +
                        " does not exist in namespace " + place.name_space,
                    {"hm get " + std::string(place.kind->plural)});
    if (request.method == "GET" && request.headers.contains("accept") &&
        request.headers.at("accept").find("Table") != std::string::npos)
      return list(request, {found->second}, kind);
    if (request.method == "GET") {
      out.body = found->second;
    } else if (request.method == "PUT") {
      Json object = Json::parse(request.body);
      const std::string sent = text_at(object, {"metadata", "resourceVersion"});
      if (!sent.empty() && sent != text_at(found->second, {"metadata", "resourceVersion"}))
        return refuse(409, "Conflict", kind + " changed");
      out.body = store(std::move(object), dry);
      if (!dry) receipt(out);
    } else if (request.method == "PATCH") {
      Json object = nexus::manifest::merge_patch(found->second, Json::parse(request.body)).value();
      out.body = store(std::move(object), dry);
      if (!dry) receipt(out);
    } else if (request.method == "DELETE") {
      objects.erase(found);
      out.body = {{"kind", "Status"}, {"status", "Success"}};
      receipt(out);
    }
    return out;
  }

  FakeAnswer list(const FakeRequest& request, const Json::array_t& items,
                  const std::string& kind) const {
    FakeAnswer out;
    const auto accept = request.headers.find("accept");
    if (accept == request.headers.end() || accept->second.find("Table") == std::string::npos) {
      out.body = {{"kind", kind + "List"},
                  {"apiVersion", "v1"},
                  {"metadata", {{"resourceVersion", std::to_string(version)}}},
                  {"items", items}};
      return out;
    }
    Json rows = Json::array();
    for (const Json& item : items)
      rows.push_back({{"cells", {text_at(item, {"metadata", "name"}), "1d"}},
                      {"object", {{"metadata", item["metadata"]}}}});
    out.body = {{"kind", "Table"},
                {"columnDefinitions",
                 {{{"name", "Name"}, {"priority", 0}}, {{"name", "Age"}, {"priority", 0}}}},
                {"rows", rows}};
    return out;
  }

  Json store(Json object, bool dry) {
    const std::string id =
        key(text_at(object, {"kind"}), text_at(object, {"metadata", "namespace"}),
            text_at(object, {"metadata", "name"}));
    const auto found = objects.find(id);
    const bool same = found != objects.end() && at(found->second, {"spec"}) == at(object, {"spec"});
    const std::int64_t generation =
        found == objects.end()
            ? 1
            : number_at(found->second, {"metadata", "generation"}) + (same ? 0 : 1);
    object["metadata"]["generation"] = generation;
    object["metadata"]["uid"] = "uid-" + id;
    object["metadata"]["resourceVersion"] = std::to_string(++version);
    object["metadata"]["creationTimestamp"] = "2026-11-21T12:00:00Z";
    if (text_at(object, {"kind"}) == "Deployment")
      object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] =
          std::to_string(generation);
    settle(object);
    if (dry) return object;
    if (found != objects.end() && text_at(object, {"kind"}) == "Deployment")
      previous[id] = found->second["spec"]["template"];
    objects[id] = object;
    return object;
  }

  Task<> serve(std::unique_ptr<base::ByteStream> stream) {
    base::http::ServerConnection connection(context.get_executor(), std::move(stream), {});
    for (;;) {
      auto head = co_await connection.next_request();
      if (!head || !*head) co_return;
      FakeRequest request;
      request.method = (*head)->method;
      const std::string target = (*head)->target;
      request.path = target.substr(0, target.find('?'));
      if (const std::size_t mark = target.find('?'); mark != std::string::npos) {
        for (const std::string& entry : split(std::string_view(target).substr(mark + 1), '&')) {
          const std::size_t equals = std::min(entry.find('='), entry.size());
          const std::string name = decode(entry.substr(0, equals)),
                            value = decode(
                                std::string_view(entry).substr(std::min(equals + 1, entry.size())));
          if (name == "command") request.command.push_back(value);
          request.query[name] = value;
        }
      }
      for (const auto& header : (*head)->headers.entries()) {
        std::string name = header.name;
        std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
        request.headers[name] = header.value;
      }
      if (!(*head)->web_socket) {
        auto body = co_await connection.read_body(64u << 20);
        if (!body) co_return;
        request.body = *std::move(body);
      }
      FakeAnswer answer;
      {
        const std::lock_guard lock(mutex);
        answer = this->answer(request);
      }
      if ((*head)->web_socket && answer.exec) {
        co_await run_exec(connection, **head, *answer.exec);
        co_return;
      }
      Headers headers;
      headers.add("Content-Type", answer.content_type);
      for (const auto& [name, value] : answer.headers) headers.add(name, value);
      if (request.query.contains("watch") && answer.status == 200) {
        // Nothing happens for a moment, then the watch ends: the client looks again.
        if (!co_await connection.begin_stream(200, headers)) co_return;
        co_await base::sleep_for(std::chrono::milliseconds(30));
        if (!co_await connection.end_stream()) co_return;
        continue;
      }
      if (answer.cut) {
        if (!co_await connection.begin_stream(200, headers)) co_return;
        (void)co_await connection.write_stream(answer.text);
        co_return;
      }
      std::string body = answer.body.is_null() ? answer.text : answer.body.dump();
      if (!co_await connection.respond(answer.status, headers, std::move(body))) co_return;
    }
  }

  Task<> run_exec(base::http::ServerConnection& connection, const base::http::RequestHead& head,
                  FakeAnswer::Exec exec) {
    auto socket = co_await connection.upgrade(head, "v5.channel.k8s.io", {}, {});
    if (!socket) co_return;
    const auto send = [&](std::uint8_t channel, const std::string& text) -> Task<> {
      base::Bytes bytes{channel};
      bytes.insert(bytes.end(), text.begin(), text.end());
      (void)co_await (*socket)->write(bytes);
    };
    while (exec.echo_input) {
      auto message = co_await (*socket)->read();
      if (!message || !*message || (*message)->size() < 1 || (**message)[0] == 255) break;
      if ((**message)[0] == 0) exec.out.append((*message)->begin() + 1, (*message)->end());
    }
    if (!exec.out.empty()) co_await send(1, exec.out);
    if (!exec.err.empty()) co_await send(2, exec.err);
    Json status = {{"metadata", Json::object()}, {"status", "Success"}};
    if (exec.exit_code != 0) {
      status = {
          {"metadata", Json::object()},
          {"status", "Failure"},
          {"reason", "NonZeroExitCode"},
          {"message", "command terminated"},
          {"code", 500},
          {"details",
           {{"causes", {{{"reason", "ExitCode"}, {"message", std::to_string(exec.exit_code)}}}}}}};
    }
    co_await send(3, status.dump());
    co_await (*socket)->close(1000, "");
  }

  Task<> accept() {
    for (;;) {
      auto accepted = co_await listener->accept();
      if (!accepted) co_return;
      scope->spawn(serve(std::move(accepted->stream)));
    }
  }
};

FakeNode::FakeNode(const std::string& home) : shared_(std::make_unique<Shared>()) {
  const std::filesystem::path run = std::filesystem::path(home) / "n1" / "run";
  std::filesystem::create_directories(run);
  shared_->listener =
      base::http::listen_unix(shared_->context.get_executor(), run / "api.sock", 0600).value();
  shared_->scope = std::make_unique<base::TaskScope>(shared_->context.get_executor());
  shared_->scope->spawn(shared_->accept());
  thread_ = std::thread([this] { shared_->context.run(); });
}

FakeNode::~FakeNode() {
  base::asio::post(shared_->context, [this] {
    shared_->listener->close();
    shared_->scope->cancel();
  });
  thread_.join();
}

void FakeNode::on_request(Handler handler) {
  const std::lock_guard lock(shared_->mutex);
  shared_->handler = std::move(handler);
}

void FakeNode::put(Json object) {
  const std::lock_guard lock(shared_->mutex);
  if (!at(object, {"metadata"}).contains("namespace")) object["metadata"]["namespace"] = "default";
  shared_->store(std::move(object), false);
}

std::optional<Json> FakeNode::find(const std::string& kind, const std::string& name,
                                   const std::string& name_space) const {
  const std::lock_guard lock(shared_->mutex);
  const auto found = shared_->objects.find(Shared::key(kind, name_space, name));
  return found == shared_->objects.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::string> FakeNode::requests() const {
  const std::lock_guard lock(shared_->mutex);
  return shared_->requests;
}

}  // namespace cli::testing
