#pragma once

// A machine, a node and its pods for tests, all in namespaces of the test: the machine that runs
// the test is never touched. Servers and clients are sockets of these namespaces.

#include <sys/types.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "datapath/namespaces.hpp"
#include "datapath/node_isolation.hpp"
#include "datapath/pod_network.hpp"

namespace hypermesh::datapath::testing {

/// Moves the test process to network and mount namespaces of its own, once: they play the machine.
void become_the_machine();

/// A process that holds a node's namespaces and does nothing else.
class NodeHolder {
 public:
  static base::Result<std::unique_ptr<NodeHolder>> start(const NodeIsolation& node);
  ~NodeHolder();
  pid_t pid() const { return pid_; }
  int netns() const { return netns_.get(); }
  UniqueFd mount_namespace() const;
  /// kill -9, and waits until it is gone. The descriptors of its namespaces are closed.
  void kill();

 private:
  pid_t pid_ = -1;
  UniqueFd netns_;
};

/// Answers each TCP connection with a fixed text and each UDP packet with it as well.
class Responder {
 public:
  Responder(int netns, const IpAddress& address, std::uint16_t port, std::string text);
  ~Responder();

 private:
  void serve();
  std::string text_;
  UniqueFd tcp_, udp_, stop_;
  std::thread thread_;
};

/// What a server says to a TCP connection from `netns`, or the error of connect or read (errno as
/// base::Error).
base::Result<std::string> ask_tcp(int netns, const IpAddress& address, std::uint16_t port);
base::Result<std::string> ask_udp(int netns, const IpAddress& address, std::uint16_t port);

/// Sends one packet and awaits nothing.
base::Result<> say_udp(int netns, const IpAddress& address, std::uint16_t port);

/// A UDP client that keeps its port.
class UdpClient {
 public:
  explicit UdpClient(int netns, const IpAddress& server, std::uint16_t port);
  base::Result<std::string> ask();
  base::Result<> say();

 private:
  UniqueFd fd_;
  int refused_ = 0;
};

}  // namespace hypermesh::datapath::testing
