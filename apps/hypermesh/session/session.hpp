#pragma once

// What a command works with: the choices that every command shares, the screen, the node.

#include <base/error.hpp>
#include <base/time.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "command/arguments.hpp"
#include "output/document.hpp"
#include "output/plan.hpp"
#include "session/api.hpp"
#include "session/console.hpp"
#include "session/target.hpp"

namespace cli {

/// --dry-run
enum class DryRun { No, Client, Server };

class Session {
 public:
  /// All are borrowed and outlive the session.
  Session(Console& console, const Environment& environment, const base::Clock& clock);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Takes the global flags. Errors: InvalidArgument.
  base::Result<> configure(const Arguments& arguments);

  Console& console() { return console_; }
  const Environment& environment() const { return environment_; }
  const base::Clock& clock() const { return clock_; }

  // Choices.
  const OutputFormat& format() const { return format_; }
  bool yes() const { return yes_; }
  bool detach() const { return detach_; }
  DryRun dry_run() const { return dry_run_; }
  /// --timeout, or `otherwise`.
  base::Duration timeout(base::Duration otherwise = std::chrono::minutes(5)) const {
    return timeout_.value_or(otherwise);
  }
  bool timeout_given() const { return timeout_.has_value(); }

  /// The cluster that the command talks to. Errors: NotFound, InvalidArgument.
  base::Result<const Target*> target();
  /// -n, else the context's, else "default". Call target() or api() before for the context's.
  base::Result<std::string> name_space();
  /// Connects lazily: the first request does. Errors: as target(); Unavailable (no node in
  /// HM_HOME).
  base::Result<Api*> api();
  /// No request may take longer than this; call before api().
  void limit_requests(base::Duration limit) { request_max_ = limit; }
  /// Runs tasks; draws the screen meanwhile.
  Loop& loop();

  /// Folder of the development cluster: HM_HOME, else ~/.local/state/hypermesh/dev.
  std::string development_home() const;
  /// ~/.config/hypermesh/config.yaml; with HM_HOME, HM_HOME/config.yaml.
  std::string contexts_file() const;
  /// What completion remembers: HM_HOME/completion.cache, else ~/.cache/hypermesh/completion.
  std::string cache_file() const;
  base::Result<Contexts> load_contexts() const;
  base::Result<> save_contexts(const Contexts& contexts) const;

  /// Prints `document` in the chosen form; 0.
  base::Result<int> show(const Document& document);
  /// Rule 6: shows the plan and decides. true: go on; false: --dry-run ended it here (the caller
  /// returns 0). Errors: InvalidArgument (no terminal and no --yes), Cancelled (the person said
  /// no).
  base::Result<bool> decide(const Plan& plan);
  /// Rule 8, for people to standard output; a program finds it in the document.
  void show_receipt(const std::optional<Receipt>& receipt);
  void show_warnings(const Answer& answer);

  /// For the error that ends the command: what the server called its refusal.
  std::string refusal_trace() const;

 private:
  Console& console_;
  const Environment& environment_;
  const base::Clock& clock_;
  OutputFormat format_;
  bool yes_ = false, detach_ = false, with_heads_ = true;
  int verbosity_ = 0;
  DryRun dry_run_ = DryRun::No;
  std::optional<base::Duration> timeout_, request_max_;
  std::string context_, trace_id_, role_;
  std::optional<std::string> name_space_;
  std::optional<Target> target_;
  std::unique_ptr<Loop> loop_;
  std::unique_ptr<Api> api_;
};

/// {"sequence","root","signatures","voters"}, or null.
Json receipt_json(const std::optional<Receipt>& receipt);

}  // namespace cli
