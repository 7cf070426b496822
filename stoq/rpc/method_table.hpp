#pragma once

#include <map>
#include <stoq/rpc_server.hpp>
#include <string>

#include "rpc/head.hpp"

namespace stoq::rpc {

/// The methods of a server. Complete before any call is served.
class MethodTable {
 public:
  struct Entry {
    std::string name;
    Method method;  ///< Its name is the one above.
    std::unique_ptr<Handler> handler;
  };

  void add(const Method& method, std::unique_ptr<Handler> handler);
  /// What a call asks for on a connection of `lane`. Errors: Unsupported (no such method),
  /// InvalidArgument (of another kind or lane).
  base::Result<const Entry*> find(const Head& head, Lane lane) const;

 private:
  std::map<std::string, std::unique_ptr<Entry>, std::less<>> entries_;
};

}  // namespace stoq::rpc
