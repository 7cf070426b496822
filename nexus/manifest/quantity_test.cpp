#include "manifest/quantity.hpp"

#include <gtest/gtest.h>

namespace nexus::manifest {
namespace {

struct Case {
  const char* in;
  const char* out;  ///< Canonical; empty: refused.
};

// The right column is what Kubernetes' own quantity makes of the left one.
const Case kCases[] = {
    {"0", "0"},
    {"0Ki", "0"},
    {"100m", "100m"},
    {"0.1", "100m"},
    {"1", "1"},
    {"1.5", "1500m"},
    {"1000m", "1"},
    {"1k", "1k"},
    {"1000", "1k"},
    {"1024", "1024"},
    {"1024Ki", "1Mi"},
    {"1Ki", "1Ki"},
    {"0.5Gi", "512Mi"},
    {"1.5Gi", "1536Mi"},
    {"1Gi", "1Gi"},
    {"1e3", "1e3"},
    {"15e5", "1500e3"},
    {"1E3", "1e3"},
    {"1E", "1E"},
    {"1e-3", "1e-3"},
    {"-100m", "-100m"},
    {"+5", "5"},
    {"5.", "5"},
    {".5", "500m"},
    {"1n", "1n"},
    {"0.1n", "1n"},
    {"1u", "1u"},
    {"1000Ki", "1000Ki"},
    {"0.5Ki", "512"},
    {"0.3Ki", "307200m"},
    {"1500Mi", "1500Mi"},
    {"100M", "100M"},
    {"9223372036854775807", "9223372036854775807"},
    {"7Ei", "7Ei"},
    {"1.000000000000000001Ei", "1152921504606846977152921505n"},
    {"0.0000000000000000000000000000000000000000000001", "1n"},
    {"9223372036854775808", ""},
    {"8Ei", ""},
    {"1e19", ""},
    {"10E", ""},
    {"", ""},
    {"-", ""},
    {".", ""},
    {"1gb", ""},
    {"1K", ""},
    {"1 Gi", ""},
    {"1Gi ", ""},
    {"1.2.3", ""},
    {"1e", ""},
    {"e3", ""},
    {"1e3m", ""},
    {"0x10", ""},
    {"1e99999", ""},
    {"1,5", ""},
    {"--1", ""},
    {"1mi", ""},
};

TEST(Quantity, ReadsAndWritesTheCanonicalForm) {
  for (const Case& c : kCases) {
    const auto quantity = Quantity::parse(c.in);
    if (*c.out == '\0') {
      EXPECT_FALSE(quantity) << c.in << " became " << (quantity ? quantity->text() : "");
    } else {
      ASSERT_TRUE(quantity) << c.in << ": " << quantity.error().describe();
      EXPECT_EQ(quantity->text(), c.out) << c.in;
      EXPECT_EQ(Quantity::parse(quantity->text())->text(), c.out);
    }
  }
}

TEST(Quantity, ComparesByWorth) {
  EXPECT_EQ(*Quantity::parse("1000m"), *Quantity::parse("1"));
  EXPECT_EQ(*Quantity::parse("1Ki"), Quantity::whole(1024));
  EXPECT_LT(*Quantity::parse("999M"), *Quantity::parse("1Gi"));
  EXPECT_LT(*Quantity::parse("-1"), *Quantity::parse("0"));
}

TEST(Quantity, RoundsUpToWholeAndThousandths) {
  EXPECT_EQ(Quantity::parse("1n")->value(), 1);
  EXPECT_EQ(Quantity::parse("1n")->millis(), 1);
  EXPECT_EQ(Quantity::parse("1500m")->value(), 2);
  EXPECT_EQ(Quantity::parse("1500m")->millis(), 1500);
  EXPECT_EQ(Quantity::parse("-1500m")->value(), -1);
  EXPECT_EQ(Quantity::parse("64Mi")->value(), 64 << 20);
  EXPECT_EQ(Quantity::parse("7Ei")->millis(), INT64_MAX);
}

TEST(Quantity, AddsExactly) {
  Quantity sum;
  for (const char* text : {"100m", "0.2", "700m"}) sum += *Quantity::parse(text);
  EXPECT_EQ(sum.text(), "1");
  EXPECT_EQ((*Quantity::parse("1Gi") - *Quantity::parse("512Mi")).text(), "512Mi");
}

TEST(Quantity, SaysWhatWasMeant) {
  EXPECT_EQ(Quantity::parse("1gb").error().hints.at(0), "write G (10^9) or Gi (2^30)");
  EXPECT_EQ(Quantity::parse("1K").error().hints.at(0), "write k (1000) or Ki (1024)");
}

}  // namespace
}  // namespace nexus::manifest
