#include "runtime/images/image_service.hpp"

#include <gtest/gtest.h>

#include <base/async/blocking_pool.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <nlohmann/json.hpp>

#include "runtime/images/layout_documents.hpp"
#include "runtime/images/testing/fake_layer_unpacker.hpp"
#include "runtime/images/testing/fake_registry.hpp"
#include "runtime/images/testing/scratch.hpp"
#include "runtime/images/testing/tar_builder.hpp"

namespace hypermesh {
namespace {

using nexus::PullPolicy;
using testing::FakeLayerUnpacker;
using testing::FakeRegistry;
using testing::gzip;
using testing::Reply;
using testing::Scratch;
using testing::ServedRequest;
using testing::TarBuilder;
using testing::write_text;
using testing::zstd;

class ImageServiceTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void TearDown() override { close(); }
  void open() {
    ImageServiceOptions options{.root = scratch_ / "images", .platform = {}, .registry = {}};
    options.registry.retry = {.failures_max = 3,
                              .first_wait = std::chrono::milliseconds(1),
                              .wait_max = std::chrono::milliseconds(2)};
    auto opened = ImageService::open(io_.get_executor(), pool_, unpacker_, clock_, rng_, {},
                                     std::move(options));
    ASSERT_TRUE(opened) << opened.error().describe();
    service_ = *std::move(opened);
  }
  void close() {
    if (service_) run(service_->stop());
    service_.reset();
  }
  template <class T>
  T run(base::Task<T> task) {
    io_.restart();
    std::exception_ptr thrown;
    if constexpr (std::is_void_v<T>) {
      base::asio::co_spawn(io_, std::move(task), [&](std::exception_ptr e) { thrown = e; });
      io_.run();
      EXPECT_FALSE(thrown);
    } else {
      std::optional<T> result;
      base::asio::co_spawn(io_, std::move(task), [&](std::exception_ptr e, T value) {
        thrown = e;
        result.emplace(std::move(value));
      });
      io_.run();
      EXPECT_FALSE(thrown);
      return *std::move(result);
    }
  }
  base::Result<ImageDetails> pull(const std::string& tag,
                                  PullPolicy policy = PullPolicy::IfNotPresent) {
    return run(service_->pull(name(tag), policy, {}));
  }
  std::string name(const std::string& tag) const { return registry_.authority() + "/web:" + tag; }
  FakeRegistry::Layer layer(const std::string& content) {
    const std::string tar = TarBuilder().file("f", content).done();
    return {media_type::kOciLayerGzip, gzip(tar), tar};
  }
  std::size_t blobs() {
    return std::size_t(
        std::distance(std::filesystem::directory_iterator(scratch_ / "images/blobs/sha256"), {}));
  }

  Scratch scratch_;
  FakeRegistry registry_;
  base::asio::io_context io_;
  base::BlockingPool pool_{3};
  FakeLayerUnpacker unpacker_;
  base::SystemClock clock_;
  base::SystemRng rng_;
  std::unique_ptr<ImageService> service_;
};

TEST_F(ImageServiceTest, PullsWhatAContainerNeeds) {
  const auto image = registry_.add_image(
      {layer("a"), layer("b")}, "1",
      R"({"Entrypoint":["/e"],"Cmd":["c"],"Env":["A=b"],"User":"web","WorkingDir":"/w","StopSignal":"SIGINT","ExposedPorts":{"80/tcp":{}}})");
  const auto pulled = pull("1");
  ASSERT_TRUE(pulled) << pulled.error().describe();
  EXPECT_EQ(pulled->reference, name("1"));
  EXPECT_EQ(pulled->resolved, registry_.authority() + "/web@" + image.digest.text());
  EXPECT_EQ(pulled->config.entrypoint, std::vector<std::string>{"/e"});
  EXPECT_EQ(pulled->config.user, "web");
  ASSERT_EQ(pulled->layers.size(), 2u);
  EXPECT_EQ(pulled->layers[0].digest, digest_of(layer("a").tar));
  ASSERT_EQ(unpacker_.requests.size(), 2u);
  EXPECT_EQ(unpacker_.requests[1].parents, std::vector{pulled->layers[0]});
  const auto found = run(service_->find(pulled->resolved));
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_EQ(found->layers, pulled->layers);
  EXPECT_EQ(found->resolved, pulled->resolved);
  const auto by_id = run(service_->find(pulled->id.text()));
  ASSERT_TRUE(by_id);
  EXPECT_EQ(by_id->resolved, pulled->resolved);
}

TEST_F(ImageServiceTest, PoliciesDecideWhetherTheRegistryIsAsked) {
  EXPECT_EQ(pull("1", PullPolicy::Never).error().code, base::Errc::FailedPrecondition);
  const auto first = registry_.add_image({layer("a")}, "1");
  ASSERT_TRUE(pull("1"));
  std::size_t before = registry_.requests().size();
  ASSERT_TRUE(pull("1"));
  ASSERT_TRUE(pull("1", PullPolicy::Never));
  EXPECT_EQ(registry_.requests().size(), before);
  ASSERT_TRUE(pull("1", PullPolicy::Always));
  EXPECT_EQ(registry_.requests().size(), before + 1) << "the digest alone is asked for";
  const auto second = registry_.add_image({layer("b")}, "1");
  EXPECT_EQ(pull("1")->resolved, registry_.authority() + "/web@" + first.digest.text());
  EXPECT_EQ(pull("1", PullPolicy::Always)->resolved,
            registry_.authority() + "/web@" + second.digest.text());
  before = registry_.requests().size();
  const std::string pinned = registry_.authority() + "/web@" + second.digest.text();
  ASSERT_TRUE(run(service_->pull(pinned, PullPolicy::Always, {})));
  EXPECT_EQ(registry_.requests().size(), before) << "what a digest names never changes";
  registry_.set_script(
      [](const ServedRequest&) -> std::optional<Reply> { return Reply{.status = 404}; });
  EXPECT_EQ(pull("1", PullPolicy::Always).error().code, base::Errc::NotFound);
}

TEST_F(ImageServiceTest, WhatIsThereSurvivesARestart) {
  registry_.add_image({layer("a")}, "1");
  const auto pulled = pull("1");
  ASSERT_TRUE(pulled);
  close();
  open();
  const std::size_t unpacked = unpacker_.requests.size();
  const auto found = pull("1", PullPolicy::Never);
  ASSERT_TRUE(found) << found.error().describe();
  EXPECT_EQ(found->layers, pulled->layers);
  EXPECT_EQ(unpacker_.requests.size(), unpacked) << "layers are unpacked once";
}

TEST_F(ImageServiceTest, AnIndexGivesThisPlatformAndKeepsItsOwnDigest) {
  const auto amd = registry_.add_image({layer("a")}, "amd");
  const std::string index = fmt::format(R"({{"schemaVersion":2,"mediaType":"{0}","manifests":[
      {{"mediaType":"{1}","digest":"sha256:{2}","size":5,"platform":{{"os":"linux","architecture":"arm64"}}}},
      {{"mediaType":"{1}","digest":"{3}","size":{4},"platform":{{"os":"linux","architecture":"amd64"}}}}]}})",
                                        media_type::kOciIndex, media_type::kOciManifest,
                                        std::string(64, '1'), amd.digest.text(), amd.size);
  const auto target = registry_.add_manifest(media_type::kOciIndex, index, "multi");
  const auto pulled = pull("multi");
  ASSERT_TRUE(pulled) << pulled.error().describe();
  EXPECT_EQ(pulled->resolved, registry_.authority() + "/web@" + target.digest.text());
  ASSERT_TRUE(run(service_->find(registry_.authority() + "/web@" + amd.digest.text())))
      << "also by the platform's own digest";
}

TEST_F(ImageServiceTest, PullsAtOnceShareTheirDownloads) {
  registry_.add_image({layer("a"), layer("b")}, "1");
  registry_.add_image({layer("a"), layer("c")}, "2");
  std::vector<base::Result<ImageDetails>> results;
  io_.restart();
  for (const char* tag : {"1", "1", "2", "1"}) {
    base::asio::co_spawn(
        io_, service_->pull(name(tag), PullPolicy::IfNotPresent, {}),
        [&](std::exception_ptr, base::Result<ImageDetails> r) { results.push_back(std::move(r)); });
  }
  io_.run();
  ASSERT_EQ(results.size(), 4u);
  for (const auto& result : results) EXPECT_TRUE(result) << result.error().describe();
  for (const char* content : {"a", "b", "c"})
    EXPECT_EQ(registry_.count("GET", digest_of(layer(content).blob).hex()), 1u) << content;
  EXPECT_EQ(unpacker_.requests.size(), 3u);
  EXPECT_TRUE(service_->pulls().empty());
}

TEST_F(ImageServiceTest, ACancelledPullDoesNotHurtAnother) {
  registry_.add_image({layer("a")}, "1");
  registry_.add_image({layer("a"), layer("b")}, "2");
  const std::string blob = digest_of(layer("a").blob).hex();
  base::asio::cancellation_signal cancel;
  std::vector<PullProgress> seen;
  registry_.set_script([&](const ServedRequest& request) -> std::optional<Reply> {
    if (request.path.find(blob) != std::string::npos) {
      base::asio::post(io_, [&] {
        seen = service_->pulls();
        cancel.emit(base::asio::cancellation_type::all);
      });
    }
    return std::nullopt;
  });
  std::optional<base::Result<ImageDetails>> kept;
  io_.restart();
  base::asio::co_spawn(io_, service_->pull(name("1"), PullPolicy::IfNotPresent, {}),
                       base::asio::bind_cancellation_slot(
                           cancel.slot(), [](std::exception_ptr, base::Result<ImageDetails>) {}));
  base::asio::co_spawn(
      io_, service_->pull(name("2"), PullPolicy::IfNotPresent, {}),
      [&](std::exception_ptr, base::Result<ImageDetails> r) { kept = std::move(r); });
  io_.run();
  ASSERT_TRUE(kept);
  EXPECT_TRUE(*kept) << kept->error().describe();
  EXPECT_FALSE(seen.empty());
}

TEST_F(ImageServiceTest, StoppingGivesUpWhatStands) {
  registry_.add_image({layer("a")}, "1");
  const std::string blob = digest_of(layer("a").blob).hex();
  std::optional<base::Result<ImageDetails>> ended;
  registry_.set_script([&](const ServedRequest& request) -> std::optional<Reply> {
    if (request.path.find(blob) == std::string::npos) return std::nullopt;
    base::asio::co_spawn(io_, service_->stop(), [](std::exception_ptr) {});
    return Reply{.body = layer("a").blob, .stall_after = 3};
  });
  io_.restart();
  base::asio::co_spawn(
      io_, service_->pull(name("1"), PullPolicy::IfNotPresent, {}),
      [&](std::exception_ptr, base::Result<ImageDetails> r) { ended = std::move(r); });
  io_.run();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->error().code, base::Errc::Cancelled);
}

TEST_F(ImageServiceTest, FailuresLeaveNoName) {
  registry_.add_image({layer("a"), layer("b")}, "1");
  unpacker_.failure = base::make_error(base::Errc::InvalidArgument,
                                       "the archive is refused: entry \"x\" has an absolute name");
  const auto refused = pull("1");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, base::Errc::InvalidArgument);
  EXPECT_NE(refused.error().describe().find("layer 1 of 2"), std::string::npos)
      << refused.error().describe();
  EXPECT_NE(refused.error().describe().find("has an absolute name"), std::string::npos);
  EXPECT_TRUE(run(service_->list())->empty());
  EXPECT_GT(run(service_->collect_garbage())->blobs_removed, 0u);
  EXPECT_EQ(blobs(), 0u);

  unpacker_.failure.reset();
  const std::string tar = layer("x").tar;
  const std::string config =
      R"({"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}})";
  registry_.add_manifest(media_type::kOciManifest,
                         make_oci_manifest(registry_.add_blob(media_type::kOciConfig, config),
                                           {registry_.add_blob(media_type::kOciLayer, tar)}),
                         "uneven");
  EXPECT_NE(
      pull("uneven").error().describe().find("its manifest has 1 layers and its configuration 0"),
      std::string::npos);
  EXPECT_EQ(pull("missing").error().code, base::Errc::NotFound);
  EXPECT_EQ(run(service_->pull("Not A Name", PullPolicy::IfNotPresent, {})).error().code,
            base::Errc::InvalidArgument);
}

TEST_F(ImageServiceTest, ABlobThatRottedIsPulledAgain) {
  registry_.add_image({layer("a")}, "1");
  const auto pulled = pull("1");
  ASSERT_TRUE(pulled);
  const std::string config = scratch_ / ("images/blobs/sha256/" + pulled->id.hex());
  write_text(config, "rot");
  const auto again = pull("1");
  ASSERT_TRUE(again) << again.error().describe();
  EXPECT_EQ(again->layers, pulled->layers);
}

TEST_F(ImageServiceTest, OtherCredentialsAreTriedWhereThoseOfASharedDownloadFail) {
  registry_.add_image({layer("a")}, "1");
  const std::string blob = digest_of(layer("a").blob).hex();
  registry_.set_script([&](const ServedRequest& request) -> std::optional<Reply> {
    if (request.path.find(blob) == std::string::npos ||
        request.header("authorization") == "Basic " + base::to_base64(base::as_bytes("good:p")))
      return std::nullopt;
    return Reply{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"x\""}}};
  });
  std::vector<std::optional<base::Result<ImageDetails>>> results(2);
  io_.restart();
  int i = 0;
  for (const char* user : {"bad", "good"}) {
    base::asio::co_spawn(
        io_, service_->pull(name("1"), PullPolicy::IfNotPresent, RegistrySecret{user, "p", ""}),
        [&, at = i++](std::exception_ptr, base::Result<ImageDetails> r) {
          results[std::size_t(at)] = std::move(r);
        });
  }
  io_.run();
  ASSERT_TRUE(*results[1]) << results[1]->error().describe();
}

TEST_F(ImageServiceTest, GarbageIsWhatNoNameAndNoContainerNeeds) {
  registry_.add_image({layer("base"), layer("a")}, "1");
  registry_.add_image({layer("base"), layer("b")}, "2");
  const auto one = pull("1");
  const auto two = pull("2");
  ASSERT_TRUE(one && two);
  EXPECT_EQ(run(service_->collect_garbage())->layers_removed, 0u);
  auto lease = service_->lease(one->resolved, "pod default/web");
  ASSERT_TRUE(lease);
  const auto in_use = run(service_->remove(name("1")));
  ASSERT_FALSE(in_use);
  EXPECT_EQ(in_use.error().code, base::Errc::FailedPrecondition);
  EXPECT_NE(in_use.error().message.find("in use by pod default/web"), std::string::npos);
  ASSERT_TRUE(run(service_->remove(name("2"))));
  auto garbage = run(service_->collect_garbage());
  ASSERT_TRUE(garbage) << garbage.error().describe();
  EXPECT_EQ(garbage->layers_removed, 1u);
  EXPECT_EQ(garbage->blobs_removed, 3u);
  *lease = ImageLease();
  ASSERT_TRUE(run(service_->remove(name("1"))));
  EXPECT_EQ(run(service_->remove(name("1"))).error().code, base::Errc::NotFound);
  unpacker_.mounted = {one->layers[0]};
  garbage = run(service_->collect_garbage());
  EXPECT_EQ(garbage->layers_removed, 1u) << "the keeper knows what is mounted";
  EXPECT_EQ(blobs(), 0u);
  EXPECT_EQ(service_->lease(one->resolved, "late").error().code, base::Errc::NotFound);
}

TEST_F(ImageServiceTest, WhatAContainerRunsFromIsFoundAfterItsTagMovedOn) {
  registry_.add_image({layer("old")}, "1");
  const auto old = pull("1");
  ASSERT_TRUE(old);
  auto lease = service_->lease(old->resolved, "pod a");
  registry_.add_image({layer("new")}, "1");
  const auto next = pull("1", PullPolicy::Always);
  ASSERT_TRUE(next);
  ASSERT_NE(next->resolved, old->resolved);
  ASSERT_TRUE(run(service_->collect_garbage()));
  *lease = ImageLease();
  close();
  open();
  const auto found = run(service_->find(old->resolved));
  ASSERT_TRUE(found) << "the container is there again after a restart: "
                     << found.error().describe();
  ASSERT_TRUE(run(service_->collect_garbage()));
  EXPECT_FALSE(run(service_->find(old->resolved))) << "nobody took a lease";
  EXPECT_TRUE(run(service_->find(next->resolved)));
}

TEST_F(ImageServiceTest, ListsAndInspects) {
  const auto image = registry_.add_image({layer("a")}, "1");
  registry_.add_image({layer("a")}, "same");
  const auto pulled = pull("1");
  ASSERT_TRUE(pull("same"));
  auto lease = service_->lease(pulled->resolved, "x");
  const auto images = run(service_->list());
  ASSERT_TRUE(images);
  ASSERT_EQ(images->size(), 1u);
  EXPECT_EQ(images->front().id, pulled->id.text());
  EXPECT_EQ(images->front().references, (std::vector{name("1"), name("same")}));
  EXPECT_EQ(images->front().digest, image.digest.text());
  EXPECT_EQ(images->front().platform, "linux/amd64");
  EXPECT_TRUE(images->front().in_use);
  const auto text = run(service_->inspect(name("same")));
  ASSERT_TRUE(text);
  const auto json = nlohmann::json::parse(*text);
  EXPECT_EQ(json["id"], pulled->id.text());
  EXPECT_EQ(json["config"]["os"], "linux");
  EXPECT_EQ(json["manifest"]["schemaVersion"], 2);
  EXPECT_EQ(json["references"].size(), 2u);
  EXPECT_EQ(run(service_->inspect("nothing:here")).error().code, base::Errc::NotFound);
  ASSERT_TRUE(run(service_->remove(name("same")))) << "not its last name";
  *lease = ImageLease();
  ASSERT_TRUE(run(service_->remove(pulled->id.text()))) << "by id";
  EXPECT_TRUE(run(service_->list())->empty());
}

TEST_F(ImageServiceTest, ImportsAndExports) {
  registry_.add_image({layer("a"), layer("b")}, "1");
  const auto pulled = pull("1");
  ASSERT_TRUE(pulled);
  ASSERT_TRUE(run(service_->export_path(name("1"), scratch_ / "out.tar")));
  EXPECT_EQ(run(service_->export_path(name("1"), scratch_ / "out.tar")).error().code,
            base::Errc::AlreadyExists);
  ASSERT_TRUE(run(service_->remove(name("1"))));
  ASSERT_TRUE(run(service_->collect_garbage()));
  unpacker_.failure = base::make_error(base::Errc::InvalidArgument, "refused");
  EXPECT_FALSE(run(service_->import_path(scratch_ / "out.tar", "")));
  EXPECT_EQ(blobs(), 0u) << "a failed import leaves nothing";
  unpacker_.failure.reset();
  const auto names = run(service_->import_path(scratch_ / "out.tar", ""));
  ASSERT_TRUE(names) << names.error().describe();
  EXPECT_EQ(*names, std::vector{name("1")});
  const std::size_t before = blobs();
  EXPECT_FALSE(run(service_->import_path(scratch_ / "out.tar", "Not A Name")));
  EXPECT_EQ(blobs(), before) << "what names refer to stays";
  const auto found = pull("1", PullPolicy::Never);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->resolved, pulled->resolved);
  EXPECT_EQ(found->layers, pulled->layers);
  const auto renamed = run(service_->import_path(scratch_ / "out.tar", "demo:1"));
  ASSERT_TRUE(renamed);
  EXPECT_EQ(*renamed, std::vector<std::string>{"docker.io/library/demo:1"});
  ASSERT_TRUE(pull("1", PullPolicy::Never));
  ASSERT_TRUE(run(service_->pull("demo:1", PullPolicy::IfNotPresent, {})))
      << "without any registry";
  EXPECT_EQ(run(service_->import_path(scratch_ / "missing.tar", "")).error().code,
            base::Errc::NotFound);
}

}  // namespace
}  // namespace hypermesh
