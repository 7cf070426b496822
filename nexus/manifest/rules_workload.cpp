#include <fmt/format.h>

#include "manifest/int_or_string.hpp"
#include "manifest/rules.hpp"

namespace nexus::manifest {

namespace {

/// The selector chooses what the template makes, and does choose.
void check_selector(const View& spec, Report& report) {
  const View selector = spec["selector"];
  if (!selector.is_object()) return;
  for (const View& one : selector["matchExpressions"].items()) {
    const std::string_view op = one["operator"].text();
    const bool wants_values = op == "In" || op == "NotIn";
    if (wants_values && one["values"].size() == 0)
      report.required(one["values"], fmt::format("is required with {}", op));
    if (!wants_values && one["values"].size() > 0)
      report.forbidden(one["values"], fmt::format("must be absent with {}", op));
  }
  const auto parsed = LabelSelector::from_object(selector.json());
  if (!parsed) return;
  if (parsed->matches_everything()) {
    return report.invalid(selector,
                          "must not be empty: it would choose every pod of the namespace");
  }
  const View labels = spec["template"]["metadata"]["labels"];
  const bool readable = spec["template"].is_object() && (!labels.present() || labels.is_object());
  if (readable && !parsed->matches(labels.present() ? string_map(labels.json()) : Labels{})) {
    report.invalid(labels, fmt::format("must fit the selector {}", parsed->text()),
                   {"give the template the labels of spec.selector.matchLabels"});
  }
}

/// A count or a percentage, at most 100% where `capped`. Nothing when it is malformed.
std::optional<std::int32_t> check_share(const View& share, bool capped, Report& report) {
  if (!share.present()) return std::nullopt;
  const auto value = IntOrString::from_json(share.json());
  if (!value) return std::nullopt;
  const auto amount = value->scaled(100, IntOrString::Rounding::Up);
  if (!amount) {
    report.invalid(share, fmt::format("is \"{}\"; must be a number or a percentage such as 25%",
                                      value->text().substr(0, 80)));
    return std::nullopt;
  }
  if (*amount < 0) report.invalid(share, fmt::format("is {}; must not be negative", *amount));
  if (capped && !value->is_number() && *amount > 100) {
    report.invalid(share, fmt::format("is {}; must not be above 100%", value->text()));
  }
  return *amount;
}

void check_strategy(const View& strategy, Report& report) {
  const View rolling = strategy["rollingUpdate"];
  if (strategy["type"].text() == "Recreate") {
    if (rolling.present()) report.forbidden(rolling, "must be absent with type: Recreate");
    return;
  }
  const auto surge = check_share(rolling["maxSurge"], false, report);
  const auto unavailable = check_share(rolling["maxUnavailable"], true, report);
  if (surge == 0 && unavailable == 0) {
    report.invalid(rolling["maxUnavailable"],
                   "must not be 0 when maxSurge is 0: no pod could be replaced");
  }
}

void check_template(const View& pod_template, PodUse use, Report& report) {
  check_pod_spec(pod_template["spec"], use, report);
}

}  // namespace

void check_deployment(const View& object, Report& report) {
  const View spec = object["spec"];
  check_selector(spec, report);
  check_strategy(spec["strategy"], report);
  const auto deadline = spec["progressDeadlineSeconds"].integer();
  const std::int64_t ready = spec["minReadySeconds"].integer().value_or(0);
  if (deadline && *deadline <= ready) {
    report.invalid(spec["progressDeadlineSeconds"],
                   fmt::format("is {}; must be above minReadySeconds ({})", *deadline, ready));
  }
  check_template(spec["template"], PodUse::ReplicaTemplate, report);
}

void check_replica_set(const View& object, Report& report) {
  check_selector(object["spec"], report);
  check_template(object["spec"]["template"], PodUse::ReplicaTemplate, report);
}

void check_job(const View& object, Report& report) {
  check_template(object["spec"]["template"], PodUse::JobTemplate, report);
}

}  // namespace nexus::manifest
