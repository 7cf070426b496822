#include "orchestration/workloads.hpp"

#include <algorithm>
#include <base/crypto.hpp>
#include <charconv>

#include "orchestration/json_read.hpp"

namespace nexus::orchestration {

namespace {

const Json& template_of(const Object& object) {
  return at(at(object.json, "spec"), "template");
}

std::int32_t count_or(const Json& json, std::string_view key, std::int32_t fallback) {
  return static_cast<std::int32_t>(
      std::clamp<std::int64_t>(number_or(json, key, fallback), 0, 1'000'000));
}

base::Result<manifest::IntOrString> amount_or(const Json& json, std::string_view key,
                                              const char* fallback) {
  const Json* amount = find(json, key);
  if (amount == nullptr) return manifest::IntOrString(std::string(fallback));
  return manifest::IntOrString::from_json(*amount);
}

std::int32_t scaled(const manifest::IntOrString& amount, std::int32_t total,
                    manifest::IntOrString::Rounding rounding) {
  return std::max(0, amount.scaled(total, rounding).value_or(0));
}

}  // namespace

const Json& Deployment::pod_template() const {
  return template_of(*object);
}
const Json& ReplicaSet::pod_template() const {
  return template_of(*object);
}
const Json& Job::pod_template() const {
  return template_of(*object);
}

std::int32_t Deployment::surge() const {
  return scaled(max_surge, replicas, manifest::IntOrString::Rounding::Up);
}

std::int32_t Deployment::unavailable() const {
  const std::int32_t allowed =
      scaled(max_unavailable, replicas, manifest::IntOrString::Rounding::Down);
  // Both 0 would forbid every step; percentages of few replicas can round to that.
  if (allowed == 0 && surge() == 0) return 1;
  return std::min(allowed, replicas);
}

std::int64_t ReplicaSet::revision() const {
  const std::string text = meta.annotation(std::string(kRevisionAnnotation));
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

base::Result<Deployment> read_deployment(ObjectPtr object) {
  Deployment out;
  out.object = std::move(object);
  out.meta = read_metadata(out.object->json);
  const Json& spec = at(out.object->json, "spec");
  out.replicas = count_or(spec, "replicas", 1);
  TRY(out.selector, manifest::LabelSelector::from_object(at(spec, "selector")));
  out.paused = flag(spec, "paused");
  const Json& strategy = at(spec, "strategy");
  out.recreate = text(strategy, "type") == "Recreate";
  const Json& rolling = at(strategy, "rollingUpdate");
  TRY(out.max_surge, amount_or(rolling, "maxSurge", "25%"));
  TRY(out.max_unavailable, amount_or(rolling, "maxUnavailable", "25%"));
  if (out.recreate) {
    out.max_surge = manifest::IntOrString(0);
    out.max_unavailable = manifest::IntOrString(std::string("100%"));
  }
  out.min_ready_seconds = number_or(spec, "minReadySeconds", 0);
  out.progress_deadline_seconds = number_or(spec, "progressDeadlineSeconds", 600);
  out.history_limit = count_or(spec, "revisionHistoryLimit", 10);
  return out;
}

base::Result<ReplicaSet> read_replica_set(ObjectPtr object) {
  ReplicaSet out;
  out.object = std::move(object);
  out.meta = read_metadata(out.object->json);
  const Json& spec = at(out.object->json, "spec");
  out.replicas = count_or(spec, "replicas", 1);
  TRY(out.selector, manifest::LabelSelector::from_object(at(spec, "selector")));
  out.min_ready_seconds = number_or(spec, "minReadySeconds", 0);
  return out;
}

base::Result<Job> read_job(ObjectPtr object) {
  Job out;
  out.object = std::move(object);
  out.meta = read_metadata(out.object->json);
  const Json& spec = at(out.object->json, "spec");
  const bool neither = !number(spec, "completions") && !number(spec, "parallelism");
  if (number(spec, "completions") || neither) out.completions = count_or(spec, "completions", 1);
  out.parallelism = count_or(spec, "parallelism", 1);
  out.backoff_limit = count_or(spec, "backoffLimit", 6);
  out.active_deadline_seconds = number(spec, "activeDeadlineSeconds");
  out.ttl_seconds = number(spec, "ttlSecondsAfterFinished");
  out.suspend = flag(spec, "suspend");
  const Json& pod_spec = at(out.pod_template(), "spec");
  out.restart_on_failure = text(pod_spec, "restartPolicy") == "OnFailure";
  return out;
}

Json without_hash(Json pod_template) {
  if (Json* meta = pod_template.is_object() && pod_template.contains("metadata")
                       ? &pod_template["metadata"]
                       : nullptr;
      meta != nullptr && meta->is_object() && meta->contains("labels") &&
      (*meta)["labels"].is_object()) {
    (*meta)["labels"].erase(std::string(kTemplateHashLabel));
  }
  return pod_template;
}

std::string template_hash(const Json& pod_template, std::int32_t collisions) {
  // The alphabet of generated names: a hash must not spell a word.
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  static constexpr std::size_t kLength = 10;
  std::string text =
      without_hash(pod_template).dump(-1, ' ', false, Json::error_handler_t::replace);
  if (collisions > 0) text += std::to_string(collisions);
  const base::Digest digest = base::sha256(text);
  std::string out;
  for (std::size_t i = 0; i < kLength; ++i) out += kAlphabet[digest[i] % kAlphabet.size()];
  return out;
}

}  // namespace nexus::orchestration
