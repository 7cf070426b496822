#pragma once

#include <base/http/server_connection.hpp>
#include <nexus/access.hpp>

#include "api/backend.hpp"
#include "api/refusal.hpp"
#include "api/route.hpp"
#include "audit/receipt.hpp"

namespace nexus::api {

/// How many of something are open at once; a Seat gives its place back when it goes.
class Seats {
 public:
  Seats(std::string name, std::size_t max) : name_(std::move(name)), max_(max) {}

  class Seat {
   public:
    explicit Seat(Seats& seats) : seats_(&seats) { ++seats.taken_; }
    Seat(Seat&& other) noexcept : seats_(std::exchange(other.seats_, nullptr)) {}
    Seat& operator=(Seat&&) = delete;
    ~Seat() {
      if (seats_ != nullptr) --seats_->taken_;
    }

   private:
    Seats* seats_;
  };
  /// Errors: ResourceExhausted.
  base::Result<Seat> take();
  std::size_t taken() const { return taken_; }

 private:
  std::string name_;
  std::size_t max_;
  std::size_t taken_ = 0;
};

class EventFeed;

/// What all handlers share.
struct Shared {
  Backend backend;
  Limits limits;
  Seats watches, sessions;
  EventFeed* event_feed = nullptr;
};

/// One request, known to be allowed, and its answer.
struct Exchange {
  Shared& shared;
  base::http::ServerConnection& connection;
  const base::http::RequestHead& head;
  const Target& target;
  const Route& route;
  const Principal& principal;
  const std::string& trace_id;

  Backend& backend() const { return shared.backend; }
  const Query& query() const { return target.query; }
  Actor actor() const {
    return {principal.user, std::string(to_string(principal.role)), principal.origin, trace_id};
  }
  base::Log log() const { return shared.backend.log.with_trace(trace_id); }

  /// The headers of every answer.
  base::http::Headers headers(std::string_view content_type) const;
  base::Task<Reply<>> answer(int status, const Json& body, base::http::Headers extra = {}) const;
  base::Task<Reply<>> answer_text(int status, std::string content_type, std::string body,
                                  base::http::Headers extra = {}) const;
  base::Task<Reply<>> begin_stream(std::string content_type) const;
  base::Task<Reply<>> write(std::string_view piece) const;
  base::Task<Reply<>> end_stream() const;

  /// The body as JSON; null when there is none. Errors: 400, 413, 415.
  base::Task<Reply<Json>> json_body() const;
  /// The bytes of a body of at most Limits::body_bytes_max.
  base::Task<Reply<std::string>> body() const;

  /// Writes what happened into the audit log: for what no object's write tells. One record for each
  /// action, written when it is known how it went: `result` is audit_result() of that. The receipt
  /// as a header's value.
  base::Task<Reply<std::string>> record(std::string action, std::string object, std::string detail,
                                        std::string result = "ok") const;
};

using Handler = base::Task<Reply<>> (*)(Exchange&);

/// How it went, as the audit log says it: "ok" or the error's code.
template <class T>
std::string audit_result(const base::Result<T>& outcome) {
  return outcome ? "ok" : std::string(base::to_string(outcome.error().code));
}

template <class T>
std::string audit_result(const Reply<T>& outcome) {
  return outcome ? "ok" : std::string(base::to_string(outcome.error().error.code));
}

/// The value of HyperMesh-Receipt.
std::string receipt_value(const Receipt& receipt);

/// Lets other tasks have their turn.
base::Task<> give_way();

/// Runs `work` until it ends or the peer is gone; a peer that goes ends it at its next suspension.
base::Task<Reply<>> until_peer_gone(base::http::ServerConnection& connection,
                                    base::Task<Reply<>> work);

}  // namespace nexus::api
