#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "testing/fake_node.hpp"
#include "testing/home.hpp"

namespace cli::testing {

inline constexpr const char* kApp = R"(apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - {name: web, image: "web:1", ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
)";

inline std::string with_image(const std::string& image) {
  std::string text = kApp;
  return text.replace(text.find("web:1"), 5, image);
}

/// Commands as they are typed, in a home whose node the test plays.
class Commands : public ::testing::Test {
 protected:
  Ran run(std::vector<std::string> words, const std::string& input = {}) const {
    return home_.run(std::move(words), input);
  }
  void deploy() {
    const Ran ran = run({"deploy", "-f", home_.file("app.yaml", kApp), "-y", "--detach"});
    ASSERT_EQ(ran.exit, 0) << ran.err;
  }
  std::size_t count(const std::string& request) const {
    const auto all = node_.requests();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), request));
  }

  Home home_;
  FakeNode node_{home_.path()};
};

}  // namespace cli::testing
