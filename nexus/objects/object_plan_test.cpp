#include "objects/object_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "objects/envelope.hpp"

namespace nexus {
namespace {

using base::Errc;
using Verb = ObjectWrite::Verb;

const ObjectStamp kStamp{"uid-1", "2026-11-21T12:00:00Z"};

Json deployment(Json spec = {{"replicas", 3}}) {
  return {{"apiVersion", "apps/v1"},
          {"kind", "Deployment"},
          {"metadata", {{"name", "web"}, {"namespace", "default"}}},
          {"spec", std::move(spec)}};
}

ObjectPtr stored(Json json, Revision revision = 5, std::string writer = "bob") {
  json["metadata"]["uid"] = "uid-0";
  json["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z";
  json["metadata"]["generation"] = 4;
  json["metadata"]["resourceVersion"] = std::to_string(revision);
  return std::make_shared<const Object>(Object{std::move(json), revision, std::move(writer)});
}

base::Result<ObjectPlan> plan(Verb verb, Json json, const ObjectPtr& current) {
  ObjectWrite write;
  write.verb = verb;
  write.json = std::move(json);
  return plan_object_write(write, current, kStamp);
}

TEST(ObjectPlan, CreateStampsWhatTheStoreMaintains) {
  auto json = deployment();
  json["metadata"]["resourceVersion"] = "77";
  json["metadata"]["uid"] = "chosen by the caller";
  json["metadata"]["generation"] = 9;
  const auto made = plan(Verb::Create, json, nullptr);
  const Json& metadata = made->json->at("metadata");
  EXPECT_EQ(metadata["uid"], "uid-1");
  EXPECT_EQ(metadata["creationTimestamp"], "2026-11-21T12:00:00Z");
  EXPECT_EQ(metadata["generation"], 1);
  EXPECT_FALSE(metadata.contains("resourceVersion"));
  EXPECT_EQ(made->expected, 0u);
  EXPECT_EQ(made->action, "create");
  json.erase("spec");
  EXPECT_FALSE(plan(Verb::Create, json, nullptr)->json->at("metadata").contains("generation"));
  EXPECT_EQ(plan(Verb::Create, deployment(), stored(deployment())).error().code,
            Errc::AlreadyExists);
}

TEST(ObjectPlan, GenerationGrowsWithTheSpecOnly) {
  const auto current = stored(deployment());
  const auto same_spec = plan(
      Verb::Update,
      [] {
        auto json = deployment();
        json["metadata"]["labels"] = {{"a", "b"}};
        return json;
      }(),
      current);
  EXPECT_TRUE(same_spec->changed);
  EXPECT_EQ(same_spec->json->at("metadata")["generation"], 4);
  const auto other_spec = plan(Verb::Update, deployment({{"replicas", 4}}), current);
  EXPECT_EQ(other_spec->json->at("metadata")["generation"], 5);
  EXPECT_EQ(other_spec->json->at("metadata")["uid"], "uid-0");
  EXPECT_EQ(other_spec->expected, 5u);
}

TEST(ObjectPlan, UpdateKeepsTheStatusAndAStatusUpdateKeepsAllElse) {
  auto with_status = deployment();
  with_status["status"] = {{"ready", 3}};
  const auto current = stored(with_status);
  auto wanted = deployment({{"replicas", 4}});
  wanted["status"] = {{"ready", 99}};
  EXPECT_EQ(plan(Verb::Update, wanted, current)->json->at("status")["ready"], 3);
  const auto status = plan(Verb::UpdateStatus, wanted, current);
  EXPECT_EQ(status->json->at("status")["ready"], 99);
  EXPECT_EQ(status->json->at("spec")["replicas"], 3);
  EXPECT_EQ(status->json->at("metadata")["generation"], 4);
  EXPECT_FALSE(status->audited);
}

TEST(ObjectPlan, AnEqualWriteChangesNothing) {
  const auto current = stored(deployment());
  EXPECT_FALSE(plan(Verb::Update, deployment(), current)->changed);
  EXPECT_FALSE(plan(Verb::Update, current->json, current)->changed);
  EXPECT_FALSE(plan(Verb::UpdateStatus, deployment(), current)->changed);
}

TEST(ObjectPlan, AConflictNamesBothRevisionsAndWhoWroteLast) {
  auto json = deployment();
  json["metadata"]["resourceVersion"] = "4";
  const auto refused = plan(Verb::Update, json, stored(deployment()));
  EXPECT_EQ(refused.error().code, Errc::Conflict);
  EXPECT_EQ(refused.error().message,
            "deployment/web changed since you read it (revision 5 by bob, you have 4)");
  json["metadata"]["resourceVersion"] = "5";
  EXPECT_TRUE(plan(Verb::Update, json, stored(deployment())));
  json["metadata"]["uid"] = "uid-of-an-older-one";
  EXPECT_EQ(plan(Verb::Update, json, stored(deployment())).error().code, Errc::Conflict);
  for (const char* no_revision : {"five", "5 ", "-1", "99999999999999999999"}) {
    json["metadata"]["resourceVersion"] = no_revision;
    EXPECT_EQ(plan(Verb::Update, json, stored(deployment())).error().code, Errc::InvalidArgument);
  }
  json["metadata"]["resourceVersion"] = 5;
  EXPECT_EQ(plan(Verb::Update, json, stored(deployment())).error().code, Errc::InvalidArgument);
}

TEST(ObjectPlan, NobodyTakesBackThatAnObjectIsGoing) {
  auto going = deployment();
  going["metadata"]["deletionTimestamp"] = "2026-02-02T00:00:00Z";
  const auto changed = plan(Verb::Update, deployment({{"replicas", 9}}), stored(going));
  EXPECT_EQ(changed->json->at("metadata")["deletionTimestamp"], "2026-02-02T00:00:00Z");
}

TEST(ObjectPlan, RemoveChecksItsPreconditions) {
  const auto current = stored(deployment());
  ObjectWrite write;
  write.verb = Verb::Remove;
  write.ref = {"Deployment", "default", "web"};
  EXPECT_FALSE(plan_object_write(write, current, kStamp)->json);
  write.precondition.revision = 4;
  EXPECT_EQ(plan_object_write(write, current, kStamp).error().code, Errc::Conflict);
  write.precondition = {"uid-9", {}};
  EXPECT_EQ(plan_object_write(write, current, kStamp).error().code, Errc::Conflict);
  write.precondition = {"uid-0", 5};
  EXPECT_TRUE(plan_object_write(write, current, kStamp));
  const auto none = plan_object_write(write, nullptr, kStamp);
  EXPECT_EQ(none.error().code, Errc::NotFound);
  EXPECT_EQ(none.error().message, "deployment/web does not exist in namespace default");
}

TEST(ObjectPlan, WhatHasNoIdentityIsRefused) {
  const std::vector<std::pair<Json, std::string>> cases = {
      {Json::array(), "an object is array; must be a JSON object"},
      {{{"metadata", {{"name", "x"}}}}, "kind is missing"},
      {{{"kind", "Pod"}}, "metadata.name is missing"},
      {{{"kind", "Pod"}, {"metadata", {{"name", 7}}}}, "metadata.name is number; must be a string"},
      {{{"kind", "Pod"}, {"metadata", {{"name", ""}}}}, "metadata.name is empty"},
      {{{"kind", "Pod"}, {"metadata", {{"name", "a/b"}}}},
       "metadata.name is \"a/b\"; no '/', space or control character is allowed"},
      {{{"kind", "Pod"}, {"metadata", {{"name", "a"}, {"namespace", "../x"}}}},
       "metadata.namespace is \"../x\"; no '/', space or control character is allowed"},
  };
  for (const auto& [json, message] : cases) {
    const auto refused = plan(Verb::Create, json, nullptr);
    ASSERT_FALSE(refused) << json.dump();
    EXPECT_EQ(refused.error().code, Errc::InvalidArgument);
    EXPECT_EQ(refused.error().message, message);
  }
}

TEST(ObjectText, TooLargeIsRefusedAndBadUtf8IsReplaced) {
  auto json = deployment();
  json["spec"]["text"] = std::string(kObjectBytesMax, 'x');
  EXPECT_EQ(object_text({"Deployment", "default", "web"}, json).error().code,
            Errc::ResourceExhausted);
  json["spec"]["text"] = "a\xff b";
  EXPECT_THAT(object_text({"Deployment", "default", "web"}, json).value(),
              testing::HasSubstr("a\xEF\xBF\xBD b"));
}

TEST(Envelope, ComesBackAsItWentAndKeysAreRead) {
  const Envelope plain{"ana", {}, "{}"},
      sealed{"bob", SecretKeyId{1, 2, 3, 4, 5, 6, 7, 8}, "sealed"};
  EXPECT_EQ(decode_envelope(encode_envelope(plain)), plain);
  EXPECT_EQ(decode_envelope(encode_envelope(sealed)), sealed);
  EXPECT_EQ(decode_envelope("").error().code, Errc::DataLoss);
  EXPECT_EQ(decode_envelope("\x09").error().code, Errc::Unsupported);
  EXPECT_EQ(ref_of_key("/objects/Pod/default/web-1"), (ObjectRef{"Pod", "default", "web-1"}));
  EXPECT_EQ(ref_of_key("/objects/Node//n1"), (ObjectRef{"Node", "", "n1"}));
  for (const char* bad : {"", "/objects/", "/objects/Pod/default", "/objects/Pod/default/",
                          "/objects/Pod/a/b/c", "/audit/x/y/z"}) {
    EXPECT_FALSE(ref_of_key(bad)) << bad;
  }
}

}  // namespace
}  // namespace nexus
