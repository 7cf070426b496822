#pragma once

// What the benchmark programs ask of a node, over its unix socket.

#include <api_client/blocking.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

namespace bench {

using Json = nlohmann::json;
using Milliseconds = std::chrono::duration<double, std::milli>;

class Api {
 public:
  explicit Api(const std::string& socket) : client_(blocking_.executor(), config(socket)) {}

  /// Ends the program when there is no answer or one whose status is none of `allowed`.
  api_client::Response send(api_client::Request request, std::initializer_list<int> allowed) {
    const std::string what = request.method + " " + request.path;
    auto answer = blocking_.run(client_.request(std::move(request)));
    if (!answer) die(what + ": " + answer.error().describe());
    for (const int status : allowed) {
      if (answer->status == status) return *std::move(answer);
    }
    die(what + ": " + std::to_string(answer->status) + " " + answer->body);
  }
  Json get(const std::string& path) {
    return Json::parse(send({.method = "GET", .path = path}, {200}).body);
  }

  [[noreturn]] static void die(const std::string& why) {
    std::fprintf(stderr, "%s\n", why.c_str());
    std::exit(1);
  }

 private:
  static api_client::Config config(const std::string& socket) {
    api_client::Endpoint node;
    node.name = "node";
    node.socket_path = socket;
    return {.endpoints = {std::move(node)}};
  }
  api_client::Blocking blocking_;
  api_client::Client client_;
};

inline constexpr const char* kPods = "/api/v1/namespaces/default/pods";

/// A pod of one container, which runs `command` of `image`.
inline Json pod(const std::string& name, const std::string& image, Json command) {
  return {{"apiVersion", "v1"},
          {"kind", "Pod"},
          {"metadata", {{"name", name}}},
          {"spec",
           {{"restartPolicy", "Never"},
            {"terminationGracePeriodSeconds", 0},
            {"containers",
             {{{"name", "main"},
               {"image", image},
               {"imagePullPolicy", "Never"},
               {"command", std::move(command)}}}}}}};
}

}  // namespace bench
