#include <gtest/gtest.h>

#include <base/bytes.hpp>
#include <base/crypto.hpp>
#include <base/error_mapping.hpp>
#include <base/log.hpp>
#include <base/metrics.hpp>
#include <base/random.hpp>
#include <base/time.hpp>

namespace base {
namespace {

TEST(Error, WrapKeepsTheCodeAndTheHints) {
  Error inner = with_hint(make_error(Errc::NotFound, "no such key"), "look in the list");
  Error outer = wrap(inner, "reading the object");
  EXPECT_EQ(outer.code, Errc::NotFound);
  EXPECT_EQ(outer.describe(), "reading the object: no such key");
  ASSERT_EQ(outer.hints.size(), 1u);
}

TEST(Error, TryPassesTheErrorOn) {
  auto f = [](bool ok) -> Result<int> {
    auto g = [](bool good) -> Result<int> {
      if (!good) return fail(Errc::Conflict, "no");
      return 41;
    };
    TRY(const int x, g(ok));
    return x + 1;
  };
  EXPECT_EQ(f(true), 42);
  EXPECT_EQ(f(false).error().code, Errc::Conflict);
}

TEST(ErrorMapping, EveryRpcStatusComesBack) {
  for (int i = 0; i <= static_cast<int>(Errc::NotVerified); ++i) {
    const auto code = static_cast<Errc>(i);
    EXPECT_EQ(errc_of_rpc_status(rpc_status(code)), code) << to_string(code);
  }
}

TEST(ErrorMapping, ExitCodesAreThoseOfTheCommandLine) {
  EXPECT_EQ(exit_code(Errc::NotFound), 3);
  EXPECT_EQ(exit_code(Errc::CannotPlace), 4);
  EXPECT_EQ(exit_code(Errc::TimedOut), 5);
  EXPECT_EQ(exit_code(Errc::Forbidden), 6);
  EXPECT_EQ(exit_code(Errc::NoQuorum), 7);
  EXPECT_EQ(exit_code(Errc::NotVerified), 8);
  EXPECT_EQ(exit_code(Errc::Conflict), 9);
}

TEST(Bytes, TextFormsComeBack) {
  SeededRng rng(7);
  for (std::size_t length = 0; length < 70; ++length) {
    Bytes bytes(length);
    rng.fill(bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)), bytes);
    EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    EXPECT_EQ(from_base32(to_base32(bytes)), bytes);
  }
  EXPECT_EQ(to_base64(as_bytes("foobar")), "Zm9vYmFy");  // RFC 4648 section 10
  EXPECT_EQ(to_base64(as_bytes("fooba")), "Zm9vYmE=");
  EXPECT_EQ(to_base32(as_bytes("foobar")), "mzxw6ytboi");
  EXPECT_FALSE(from_base64("Zm9vYmF="));  // bits left over
  EXPECT_FALSE(from_base64("Zm9v YmE"));
  EXPECT_FALSE(from_hex("0g"));
}

TEST(Bytes, ReaderNeverReadsPastTheEnd) {
  ByteWriter writer;
  writer.u16(513);
  writer.sized("abc");
  const Bytes bytes = std::move(writer).take();
  for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
    ByteReader reader(BytesView(bytes).first(cut));
    auto number = reader.u16();
    EXPECT_FALSE(number && reader.sized(100)) << cut;
  }
  ByteReader reader(bytes);
  EXPECT_EQ(reader.u16(), 513);
  EXPECT_EQ(as_text(*reader.sized(3)), "abc");
  EXPECT_TRUE(reader.end());
  ByteReader strict(bytes);
  ASSERT_TRUE(strict.u16());
  EXPECT_FALSE(strict.sized(2));
}

TEST(Time, Rfc3339ComesBack) {
  const auto time = parse_rfc3339("2026-11-21T12:25:07.000000042Z");
  ASSERT_TRUE(time);
  EXPECT_EQ(to_rfc3339(*time, 9), "2026-11-21T12:25:07.000000042Z");
  EXPECT_EQ(to_rfc3339(*parse_rfc3339("2026-11-21T14:25:07+02:00")), "2026-11-21T12:25:07Z");
  for (const char* bad :
       {"", "2026-13-01T00:00:00Z", "2026-11-21 12:25:07Z", "2026-11-21T12:25:07",
        "2026-11-21T12:25:07Zx", "2026-11-21T12:25:07.Z", "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-21T00:00:00+99:00"}) {
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
  }
  for (const char* edge : {"1678-01-01T00:00:00Z", "2261-12-31T23:59:59Z"}) {
    EXPECT_EQ(to_rfc3339(parse_rfc3339(edge).value()), edge);
  }
}

TEST(Time, AgesReadAsKubectlShowsThem) {
  using namespace std::chrono_literals;
  EXPECT_EQ(to_age(45s), "45s");
  EXPECT_EQ(to_age(192s), "3m12s");
  EXPECT_EQ(to_age(12min), "12m");
  EXPECT_EQ(to_age(245min), "4h5m");
  EXPECT_EQ(to_age(72h), "3d");
}

TEST(Crypto, Sha256OfTheStandardsExample) {
  EXPECT_EQ(to_hex(sha256("abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  Sha256 pieces;
  pieces.update(as_bytes("a"));
  pieces.update(as_bytes("bc"));
  EXPECT_EQ(pieces.finish(), sha256("abc"));
}

TEST(Crypto, Ed25519OfRfc8032) {
  // Section 7.1, test 2.
  const auto key = SigningKey::from_seed(
      *from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"));
  ASSERT_TRUE(key);
  EXPECT_EQ(to_hex(key->public_key()),
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const Bytes message = {0x72};
  const Signature signature = key->sign(message);
  EXPECT_EQ(to_hex(signature),
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f36"
            "13d0f11d8c387b2eaeb4302aeeb0"
            "0d291612bb0c00");
  EXPECT_TRUE(verify(key->public_key(), message, signature));
  EXPECT_FALSE(verify(key->public_key(), Bytes{0x73}, signature));
}

TEST(Crypto, SealedBytesOpenOnlyUnchanged) {
  SeededRng rng(1);
  Bytes key(kSealKeyBytes);
  rng.fill(key);
  Bytes sealed = seal(key, as_bytes("the password"), as_bytes("secret/default/db"), rng);
  EXPECT_EQ(as_text(*open_sealed(key, sealed, as_bytes("secret/default/db"))), "the password");
  EXPECT_EQ(open_sealed(key, sealed, as_bytes("secret/default/other")).error().code,
            Errc::NotVerified);
  sealed.back() ^= 1;
  EXPECT_FALSE(open_sealed(key, sealed, as_bytes("secret/default/db")));
  EXPECT_FALSE(open_sealed(key, Bytes(10), {}));
}

TEST(Random, BelowStaysBelowAndSeedsRepeat) {
  SeededRng a(3), b(3);
  for (int i = 0; i < 1000; ++i) {
    const auto x = a.below(7);
    EXPECT_LT(x, 7u);
    EXPECT_EQ(x, b.below(7));
  }
  EXPECT_EQ(make_uuid(a), make_uuid(b));
  EXPECT_EQ(make_name_suffix(a).size(), 5u);
}

TEST(Log, LevelsAndFormats) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  LogSink sink(pipe_fds[1], LogSink::Format::Json);
  ASSERT_TRUE(sink.set_levels("warning,dns=debug"));
  EXPECT_FALSE(sink.set_levels("loud"));
  Log(sink, "api").info("dropped");
  Log(sink, "dns")
      .with_trace("7f3a")
      .debug("asked \"x\"", {{"count", 3}, {"ok", true}, {"name", "a b"}});
  char buffer[512];
  const ssize_t size = read(pipe_fds[0], buffer, sizeof buffer);
  const std::string line(buffer, static_cast<std::size_t>(size));
  EXPECT_NE(
      line.find(
          R"("component":"dns","event":"asked \"x\"","trace":"7f3a","count":3,"ok":true,"name":"a b"})"),
      line.npos)
      << line;
  EXPECT_EQ(line.find("dropped"), line.npos);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

TEST(Log, AJsonLineIsUtf8WhateverWasPutIn) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  const auto shown = [&](std::string value) {
    LogSink sink(pipe_fds[1], LogSink::Format::Json);
    Log(sink, "api").info("x", {{"v", std::move(value)}});
    char buffer[512];
    const ssize_t size = read(pipe_fds[0], buffer, sizeof buffer);
    const std::string line(buffer, static_cast<std::size_t>(size));
    const std::size_t at = line.find("\"v\":\"") + 5;
    return line.substr(at, line.rfind('"') - at);
  };
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(shown("a\xff\xfe z"), "a" + bad + bad + " z");
  EXPECT_EQ(shown("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"),
            "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
  EXPECT_EQ(shown("cut \xe2\x82"), "cut " + bad + bad);
  EXPECT_EQ(shown("\xc0\xaf"), bad + bad) << "overlong";
  EXPECT_EQ(shown("\xed\xa0\x80"), bad + bad + bad) << "a surrogate";
  EXPECT_EQ(shown("\xf4\x90\x80\x80"), bad + bad + bad + bad) << "above U+10FFFF";
  EXPECT_EQ(shown("\xe2\"\x82"), bad + "\\\"" + bad);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
}

TEST(Metrics, TheSameNameIsTheSameMetric) {
  auto metrics = make_prometheus_metrics();
  metrics->counter("nexus_test_total", "Tests.", {{"kind", "a"}}).add();
  metrics->counter("nexus_test_total", "Tests.", {{"kind", "a"}}).add(2);
  metrics->gauge("stoq_latency_p99_seconds", "Latency.").set(0.5);
  const std::string page = metrics->expose();
  EXPECT_NE(page.find("nexus_test_total{kind=\"a\"} 3"), page.npos) << page;
  EXPECT_NE(page.find("stoq_latency_p99_seconds 0.5"), page.npos) << page;
}

TEST(Metrics, AreRefreshedWhenTheyAreRead) {
  const auto metrics = make_prometheus_metrics();
  Gauge& gauge = metrics->gauge("looked_at", "How often");
  auto refresh = metrics->before_exposing([&] { gauge.add(1); });
  (void)metrics->expose();
  EXPECT_NE(metrics->expose().find("looked_at 2"), std::string::npos);
  refresh.reset();
  EXPECT_NE(metrics->expose().find("looked_at 2"), std::string::npos);
}

TEST(Metrics, HiddenOnesAreNotShown) {
  const auto metrics = make_prometheus_metrics({"stoq_latency_p99"});
  metrics->gauge("stoq_latency_p99", "").set(1);
  metrics->gauge("stoq_throughput_gbps", "").set(1);
  const std::string page = metrics->expose();
  EXPECT_EQ(page.find("stoq_latency_p99"), std::string::npos);
  EXPECT_NE(page.find("stoq_throughput_gbps 1"), std::string::npos);
}

}  // namespace
}  // namespace base
