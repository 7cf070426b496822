#include "runtime/images/registry_client.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "runtime/images/testing/fake_registry.hpp"

namespace hypermesh {
namespace {

using std::chrono::milliseconds;
using testing::FakeRegistry;
using testing::HttpServer;
using testing::Reply;
using testing::ServedRequest;

class MemorySink final : public BlobSink {
 public:
  base::Result<> append(base::BytesView piece) override {
    if (fail_at && text.size() + piece.size() > *fail_at)
      return base::fail(base::Errc::ResourceExhausted, "the disk is full");
    text += base::as_text(piece);
    return {};
  }
  base::Result<> restart() override {
    text.clear();
    ++restarts;
    return {};
  }
  std::string text;
  int restarts = 0;
  std::optional<std::size_t> fail_at;
};

std::string pattern(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = char(i * 31 + i / 251);
  return out;
}

class RegistryClientTest : public ::testing::Test {
 protected:
  RegistryClientTest() {
    options_.retry = {
        .failures_max = 3, .first_wait = milliseconds(1), .wait_max = milliseconds(2)};
    options_.http.slow_max = std::chrono::seconds(1);
    options_.http.document_max = std::chrono::seconds(20);
  }
  RegistryClient& client() {
    if (!client_) client_ = std::make_unique<RegistryClient>(options_, rng_);
    return *client_;
  }
  ImageReference name(const std::string& tag = "1") const {
    return *parse_reference(registry_.authority() + "/team/web:" + tag);
  }
  base::Result<FetchedManifest> manifest(const std::string& tag = "1") {
    return client().fetch_manifest(name(tag), name(tag).target(), secret_, cancel_);
  }
  base::Result<> blob(const Descriptor& descriptor) {
    return client().fetch_blob(name(), descriptor, sink_, secret_, cancel_, done_);
  }

  FakeRegistry registry_;
  RegistryClientOptions options_;
  base::SystemRng rng_;
  std::unique_ptr<RegistryClient> client_;
  CancelToken cancel_;
  std::optional<RegistrySecret> secret_;
  MemorySink sink_;
  std::atomic<std::uint64_t> done_ = 0;
};

TEST_F(RegistryClientTest, FetchesByTagAndByDigest) {
  const auto image = registry_.add_image({{media_type::kOciLayer, "tar", "tar"}}, "1");
  const auto by_tag = manifest();
  ASSERT_TRUE(by_tag) << by_tag.error().describe();
  EXPECT_EQ(by_tag->digest, image.digest);
  EXPECT_EQ(by_tag->media_type, media_type::kOciManifest);
  EXPECT_TRUE(client().fetch_manifest(name(), image.digest.text(), {}, cancel_));
  const auto resolved = client().resolve(name(), {}, cancel_);
  ASSERT_TRUE(resolved);
  EXPECT_EQ(*resolved, image.digest);
  EXPECT_NE(registry_.requests()[0].header("accept").find(media_type::kDockerManifest),
            std::string::npos);
}

TEST_F(RegistryClientTest, ReachesIPv6Literals) {
  FakeRegistry six(true);
  const auto image = six.add_image({}, "1");
  const auto reference = parse_reference(six.authority() + "/x:1");
  ASSERT_TRUE(reference);
  const auto fetched = client().fetch_manifest(*reference, "1", {}, cancel_);
  ASSERT_TRUE(fetched) << fetched.error().describe();
  EXPECT_EQ(fetched->digest, image.digest);
}

TEST_F(RegistryClientTest, ReachesLocalhostByEitherFamily) {
  for (const bool ipv6 : {false, true}) {
    FakeRegistry one(ipv6);
    one.add_image({}, "1");
    EXPECT_TRUE(client().fetch_manifest(
        *parse_reference(fmt::format("localhost:{}/x:1", one.port())), "1", {}, cancel_))
        << ipv6;
  }
}

TEST_F(RegistryClientTest, BlobsArriveWhole) {
  const std::string bytes = pattern(300'000);
  const auto descriptor = registry_.add_blob(media_type::kOciLayer, bytes);
  ASSERT_TRUE(blob(descriptor));
  EXPECT_EQ(sink_.text, bytes);
  EXPECT_EQ(done_, bytes.size());
  const auto empty = registry_.add_blob(media_type::kOciLayer, "");
  EXPECT_TRUE(blob(empty));
  EXPECT_TRUE(sink_.text.empty());
}

TEST_F(RegistryClientTest, ACutConnectionIsResumed) {
  const std::string bytes = pattern(500'000);
  const auto descriptor = registry_.add_blob(media_type::kOciLayer, bytes);
  int cuts = 0;
  registry_.set_script([&](const ServedRequest& request) -> std::optional<Reply> {
    if (request.path.find("/blobs/") == std::string::npos || ++cuts > 4) return std::nullopt;
    const std::size_t from =
        request.header("range").empty() ? 0 : std::stoul(request.header("range").substr(6));
    return Reply{.status = from ? 206 : 200,
                 .body = bytes.substr(from),
                 .headers = {{"Content-Range", fmt::format("bytes {}-499999/500000", from)}},
                 .cut_after = 100'000};
  });
  const auto fetched = blob(descriptor);
  ASSERT_TRUE(fetched) << fetched.error().describe();
  EXPECT_EQ(sink_.text, bytes);
  EXPECT_EQ(sink_.restarts, 1) << "only at the very beginning";
  EXPECT_EQ(done_, bytes.size());
  EXPECT_EQ(registry_.requests().back().header("range"), "bytes=400000-");
}

TEST_F(RegistryClientTest, AServerWithoutRangesStartsOver) {
  const std::string bytes = pattern(200'000);
  const auto descriptor = registry_.add_blob(media_type::kOciLayer, bytes);
  int calls = 0;
  registry_.set_script([&](const ServedRequest&) -> std::optional<Reply> {
    return Reply{.body = bytes,
                 .cut_after = ++calls == 1 ? std::optional<std::size_t>(150'000) : std::nullopt};
  });
  ASSERT_TRUE(blob(descriptor));
  EXPECT_EQ(sink_.text, bytes);
  EXPECT_EQ(done_, bytes.size());
}

TEST_F(RegistryClientTest, AnotherRangeThanAskedForIsNotTaken) {
  const std::string bytes = pattern(200'000);
  const auto descriptor = registry_.add_blob(media_type::kOciLayer, bytes);
  int calls = 0;
  registry_.set_script([&](const ServedRequest&) -> std::optional<Reply> {
    ++calls;
    if (calls == 1) return Reply{.body = bytes, .cut_after = 150'000};
    if (calls == 2)
      return Reply{.status = 206,
                   .body = bytes.substr(10),
                   .headers = {{"Content-Range", "bytes 10-199999/200000"}}};
    return std::nullopt;
  });
  ASSERT_TRUE(blob(descriptor));
  EXPECT_EQ(sink_.text, bytes);
}

TEST_F(RegistryClientTest, AServerThatAlwaysCutsIsGivenUp) {
  const auto descriptor = registry_.add_blob(media_type::kOciLayer, pattern(1000));
  registry_.set_script([&](const ServedRequest&) -> std::optional<Reply> {
    return Reply{.body = pattern(1000), .cut_after = 10};
  });
  const auto fetched = blob(descriptor);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, base::Errc::Unavailable);
  EXPECT_NE(fetched.error().describe().find("given up after 3 failures"), std::string::npos)
      << fetched.error().describe();
}

TEST_F(RegistryClientTest, ASlowServerIsGivenUp) {
  options_.retry.failures_max = 1;
  const auto descriptor = registry_.add_blob(media_type::kOciLayer, pattern(100'000));
  registry_.set_script([&](const ServedRequest&) -> std::optional<Reply> {
    return Reply{.body = pattern(100'000), .stall_after = 1000};
  });
  const auto fetched = blob(descriptor);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, base::Errc::TimedOut) << fetched.error().describe();
}

TEST_F(RegistryClientTest, ALyingRegistryIsAnErrorThatNamesBothDigests) {
  const std::string bytes = pattern(1000);
  const auto descriptor = registry_.add_blob(media_type::kOciLayer, bytes);
  std::string other = bytes;
  other[500] ^= 1;
  registry_.set_script(
      [&](const ServedRequest&) -> std::optional<Reply> { return Reply{.body = other}; });
  const auto fetched = blob(descriptor);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, base::Errc::NotVerified);
  EXPECT_NE(fetched.error().message.find(descriptor.digest.text()), std::string::npos);
  EXPECT_NE(fetched.error().message.find(digest_of(other).text()), std::string::npos);
  EXPECT_EQ(registry_.requests().size(), 1u) << "a lie is not asked for again";

  registry_.set_script(
      [&](const ServedRequest&) -> std::optional<Reply> { return Reply{.body = bytes + "more"}; });
  EXPECT_EQ(blob(descriptor).error().code, base::Errc::NotVerified);

  const auto image = registry_.add_image({}, "1");
  registry_.set_script([&](const ServedRequest&) -> std::optional<Reply> {
    return Reply{.body = "{}", .headers = {{"Docker-Content-Digest", image.digest.text()}}};
  });
  const auto by_tag = manifest();
  ASSERT_FALSE(by_tag);
  EXPECT_EQ(by_tag.error().code, base::Errc::NotVerified);
  EXPECT_NE(by_tag.error().message.find(image.digest.text()), std::string::npos);
  EXPECT_NE(by_tag.error().message.find(digest_of("{}").text()), std::string::npos);
  EXPECT_EQ(client().fetch_manifest(name(), image.digest.text(), {}, cancel_).error().code,
            base::Errc::NotVerified);
}

TEST_F(RegistryClientTest, RefusalsAreToldApart) {
  registry_.add_image({}, "1");
  const auto status = [&](int code, std::vector<std::pair<std::string, std::string>> headers = {}) {
    registry_.set_script([=](const ServedRequest&) -> std::optional<Reply> {
      return Reply{.status = code,
                   .body = R"({"errors":[{"code":"X","message":"because\u001b[31m of this"}]})",
                   .headers = headers};
    });
    auto answer = manifest();
    EXPECT_FALSE(answer);
    return answer.error();
  };
  EXPECT_EQ(status(404).code, base::Errc::NotFound);
  EXPECT_NE(status(404).describe().find("(\"because[31m of this\")"), std::string::npos)
      << status(404).describe();
  EXPECT_EQ(status(403).code, base::Errc::Forbidden);
  EXPECT_EQ(status(401).code, base::Errc::Unsupported) << "refuses without saying how to get in";
  EXPECT_EQ(status(401, {{"WWW-Authenticate", "Basic realm=\"x\""}}).code, base::Errc::Forbidden);
  EXPECT_EQ(status(418).code, base::Errc::InvalidArgument);
  const std::size_t before = registry_.requests().size();
  EXPECT_EQ(status(500).code, base::Errc::Unavailable);
  EXPECT_EQ(registry_.requests().size() - before, 3u) << "is asked again";
  EXPECT_EQ(status(429).code, base::Errc::ResourceExhausted);
  const std::size_t again = registry_.requests().size();
  const auto later = status(429, {{"Retry-After", "100000"}});
  EXPECT_EQ(registry_.requests().size() - again, 1u) << "who asks for a day is given up";
  EXPECT_EQ(later.hints.front(), "the registry asks to wait 100000 s");
}

TEST_F(RegistryClientTest, AnOverloadedRegistryIsAskedAgain) {
  registry_.add_image({}, "1");
  int calls = 0;
  registry_.set_script([&](const ServedRequest&) -> std::optional<Reply> {
    if (++calls == 1) return Reply{.status = 429, .headers = {{"Retry-After", "0"}}};
    if (calls == 2)
      return Reply{.status = 503,
                   .headers = {{"Date", "Sat, 21 Nov 2026 12:00:00 GMT"},
                               {"Retry-After", "Sat, 21 Nov 2026 12:00:00 GMT"}}};
    return std::nullopt;
  });
  const auto fetched = manifest();
  ASSERT_TRUE(fetched) << fetched.error().describe();
  EXPECT_EQ(calls, 3);
}

TEST_F(RegistryClientTest, BasicAuthentication) {
  registry_.add_image({}, "1");
  registry_.set_script([&](const ServedRequest& request) -> std::optional<Reply> {
    if (request.header("authorization") == "Basic dTpw") return std::nullopt;
    return Reply{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
  });
  EXPECT_EQ(manifest().error().code, base::Errc::Forbidden);
  secret_ = RegistrySecret{"u", "p", ""};
  EXPECT_TRUE(manifest());
  const std::size_t before = registry_.requests().size();
  EXPECT_TRUE(manifest());
  EXPECT_EQ(registry_.requests().size() - before, 1u) << "remembered";
  secret_ = RegistrySecret{"u", "wrong", ""};
  const auto wrong = manifest();
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, base::Errc::Forbidden);
  EXPECT_EQ(wrong.error().describe().find("wrong"), std::string::npos)
      << "never shows the password";
}

// The token dance of the distribution specification, with a token that runs out.
TEST_F(RegistryClientTest, TokenAuthentication) {
  registry_.add_image({}, "1");
  int issued = 0;
  HttpServer tokens([&](const ServedRequest& request) -> Reply {
    if (request.method == "POST")
      return request.body.find("refresh_token=r%26t") != std::string::npos
                 ? Reply{.body = R"({"access_token":"posted"})"}
                 : Reply{.status = 401};
    if (!request.header("authorization").empty() && request.header("authorization") != "Basic dTpw")
      return {.status = 401};
    ++issued;
    return {.body = fmt::format(R"({{"token":"t{}","expires_in":60}})", issued)};
  });
  std::string valid = "t1";
  registry_.set_script([&](const ServedRequest& request) -> std::optional<Reply> {
    if (request.header("authorization") == "Bearer " + valid) return std::nullopt;
    return Reply{
        .status = 401,
        .headers = {
            {"WWW-Authenticate",
             fmt::format(
                 R"(Bearer realm="http://{}/token?x=1",service="reg & co",scope="repository:team/web:pull")",
                 tokens.authority())}}};
  });
  ASSERT_TRUE(manifest());
  EXPECT_EQ(tokens.requests()[0].path,
            "/token?x=1&service=reg%20%26%20co&scope=repository%3Ateam%2Fweb%3Apull");
  EXPECT_TRUE(tokens.requests()[0].header("authorization").empty());
  ASSERT_TRUE(manifest());
  EXPECT_EQ(issued, 1) << "remembered";
  valid = "t2";
  ASSERT_TRUE(manifest()) << "a token that ran out is replaced";
  EXPECT_EQ(issued, 2);
  secret_ = RegistrySecret{"u", "p", ""};
  valid = "t3";
  ASSERT_TRUE(manifest()) << "other credentials get another token";
  EXPECT_EQ(tokens.requests().back().header("authorization"), "Basic dTpw");
  secret_ = RegistrySecret{"", "", "r&t"};
  valid = "posted";
  ASSERT_TRUE(manifest());
  secret_ = RegistrySecret{"u", "bad", ""};
  EXPECT_EQ(manifest().error().code, base::Errc::Forbidden);
}

TEST_F(RegistryClientTest, BadTokenServicesAreRefused) {
  registry_.add_image({}, "1");
  std::string body;
  HttpServer tokens([&](const ServedRequest&) -> Reply { return {.body = body}; });
  std::string realm = fmt::format("http://{}/", tokens.authority());
  registry_.set_script([&](const ServedRequest&) -> std::optional<Reply> {
    return Reply{.status = 401,
                 .headers = {{"WWW-Authenticate", fmt::format("Bearer realm=\"{}\"", realm)}}};
  });
  for (const char* bad :
       {"", "{}", "[]", R"({"token":7})", R"({"token":"a\r\nb"})", R"({"token":""})"}) {
    body = bad;
    EXPECT_FALSE(manifest()) << bad;
  }
  body = R"({"token":"useless"})";
  EXPECT_EQ(manifest().error().code, base::Errc::Forbidden);
  for (const char* bad : {"http://192.0.2.1/token", "ftp://127.0.0.1/", "file:///etc/passwd", "",
                          "http://user:pass@127.0.0.1/", "/token"}) {
    realm = bad;
    const auto refused = manifest();
    ASSERT_FALSE(refused) << bad;
    EXPECT_TRUE(refused.error().code == base::Errc::Forbidden ||
                refused.error().code == base::Errc::InvalidArgument)
        << refused.error().describe();
  }
}

TEST_F(RegistryClientTest, CredentialsStayWithTheRegistryOnRedirects) {
  const std::string bytes = pattern(1000);
  const auto descriptor = registry_.add_blob(media_type::kOciLayer, bytes);
  HttpServer storage([&](const ServedRequest&) -> Reply { return {.body = bytes}; });
  secret_ = RegistrySecret{"u", "p", ""};
  registry_.set_script([&](const ServedRequest& request) -> std::optional<Reply> {
    if (request.header("authorization").empty())
      return Reply{.status = 401, .headers = {{"WWW-Authenticate", "Basic realm=\"r\""}}};
    if (request.path == "/moved")
      return Reply{
          .status = 302,
          .headers = {{"Location", fmt::format("http://{}/signed?x=%20y", storage.authority())}}};
    return Reply{.status = 307, .headers = {{"Location", "/moved"}}};
  });
  const auto fetched = blob(descriptor);
  ASSERT_TRUE(fetched) << fetched.error().describe();
  ASSERT_EQ(storage.requests().size(), 1u);
  EXPECT_EQ(storage.requests()[0].header("authorization"), "");
  EXPECT_EQ(storage.requests()[0].path, "/signed?x=%20y");
}

TEST_F(RegistryClientTest, BadRedirectsAreRefused) {
  registry_.add_image({}, "1");
  std::string location;
  registry_.set_script([&](const ServedRequest&) -> std::optional<Reply> {
    return Reply{.status = 302, .headers = {{"Location", location}}};
  });
  for (const char* bad : {"http://192.0.2.1/x", "file:///etc/passwd", "gopher://127.0.0.1/", "",
                          "http://127.0.0.1.example.org/"}) {
    location = bad;
    const auto refused = manifest();
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, base::Errc::InvalidArgument)
        << bad << ": " << refused.error().describe();
  }
  location = "/v2/again";
  const std::size_t before = registry_.requests().size();
  const auto loop = manifest();
  ASSERT_FALSE(loop);
  EXPECT_NE(loop.error().describe().find("more than 5 redirects"), std::string::npos);
  EXPECT_EQ(registry_.requests().size() - before, 6u);
}

TEST_F(RegistryClientTest, AFullDiskEndsTheTransfer) {
  const auto descriptor = registry_.add_blob(media_type::kOciLayer, pattern(300'000));
  sink_.fail_at = 100'000;
  const auto fetched = blob(descriptor);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, base::Errc::ResourceExhausted);
  EXPECT_EQ(registry_.requests().size(), 1u);
}

TEST_F(RegistryClientTest, CancellingEndsACallThatStands) {
  const auto descriptor = registry_.add_blob(media_type::kOciLayer, pattern(1000));
  options_.http.slow_max = std::chrono::seconds(60);
  registry_.set_script([&](const ServedRequest&) -> std::optional<Reply> {
    cancel_.cancel();
    return Reply{.body = pattern(1000), .stall_after = 10};
  });
  EXPECT_EQ(blob(descriptor).error().code, base::Errc::Cancelled);
}

TEST_F(RegistryClientTest, SocketsComeFromTheConnector) {
  registry_.add_image({}, "1");
  for (const bool connected : {false, true}) {
    std::vector<std::string> asked;
    int used = -1;
    options_.connector = [&](const std::string& address, std::uint16_t port) -> base::Result<int> {
      asked.push_back(fmt::format("{} {}", address, port));
      used = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      sockaddr_in to{};
      to.sin_family = AF_INET;
      to.sin_port = htons(port);
      to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      if (connected && connect(used, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0)
        return base::fail_errno(errno, "cannot connect");
      return used;
    };
    RegistryClient own(options_, rng_);
    const auto fetched = own.fetch_manifest(name(), "1", {}, cancel_);
    ASSERT_TRUE(fetched) << connected << ": " << fetched.error().describe();
    EXPECT_EQ(asked, std::vector<std::string>{fmt::format("127.0.0.1 {}", registry_.port())});
    EXPECT_EQ(fcntl(used, F_GETFD), -1) << "closed with the session";
  }
}

TEST_F(RegistryClientTest, AConnectorsErrorIsTheAnswer) {
  options_.connector = [](const std::string&, std::uint16_t) -> base::Result<int> {
    return base::fail(base::Errc::Forbidden, "the keeper says no");
  };
  const auto refused = manifest();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "the keeper says no");
}

TEST_F(RegistryClientTest, WhatIsNotLoopbackIsAskedWithTls) {
  // A server of plain HTTP cannot answer a TLS greeting: nothing readable leaves for it.
  std::vector<std::string> asked;
  options_.retry.failures_max = 1;
  options_.http.connect_max = milliseconds(200);
  const auto refused = client().fetch_manifest(*parse_reference("192.0.2.1/x:1"), "1", {}, cancel_);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(registry_.requests().empty());
}

TEST_F(RegistryClientTest, ProtocolBreakersAreRefused) {
  options_.http.connect_max = milliseconds(100);  // for the try with TLS
  registry_.add_image({}, "1");
  const auto with = [&](Reply reply) {
    registry_.set_script([=](const ServedRequest&) -> std::optional<Reply> { return reply; });
    return manifest();
  };
  EXPECT_FALSE(with({.raw = "rubbish\r\n\r\n"}));
  EXPECT_FALSE(with({.raw = ""}));
  std::string many = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n";
  for (int i = 0; i < 2000; ++i) many += fmt::format("X-{}: {}\r\n", i, std::string(60, 'y'));
  const auto headers = with({.raw = many + "\r\n"});
  ASSERT_FALSE(headers);
  EXPECT_NE(headers.error().describe().find("bytes of headers"), std::string::npos)
      << headers.error().describe();
  const auto long_one = with({.body = std::string(5u << 20, ' ')});
  ASSERT_FALSE(long_one);
  EXPECT_NE(long_one.error().describe().find("more than 4194304 bytes"), std::string::npos)
      << long_one.error().describe();
}

}  // namespace
}  // namespace hypermesh
