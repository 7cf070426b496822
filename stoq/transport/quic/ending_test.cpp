#include "transport/quic/ending.hpp"

#include <gtest/gtest.h>

namespace stoq::quic {
namespace {

base::Error ended_by_transport_error(std::uint64_t code) {
  ngtcp2_connection_close_error why;
  ngtcp2_connection_close_error_default(&why);
  ngtcp2_connection_close_error_set_transport_error(&why, code, nullptr, 0);
  return ended_by_peer(why);
}

TEST(Ending, EveryAlertThatAPeerMaySendHasWords) {
  for (std::uint64_t code = 0x100; code < 0x200; ++code)
    EXPECT_FALSE(ended_by_transport_error(code).message.empty()) << code;
  EXPECT_EQ(ended_by_transport_error(0x100 + 255).message, "the peer refused us: alert 255");
}

TEST(Ending, WhatConcernsCertificatesIsNotTriedAgain) {
  EXPECT_EQ(ended_by_transport_error(0x100 + GNUTLS_A_CERTIFICATE_REVOKED).code,
            base::Errc::NotVerified);
  EXPECT_EQ(ended_by_transport_error(0x100 + GNUTLS_A_NO_APPLICATION_PROTOCOL).code,
            base::Errc::InvalidArgument);
  EXPECT_EQ(ended_by_transport_error(NGTCP2_CONNECTION_REFUSED).code, base::Errc::Unavailable);
}

TEST(Ending, OurOwnRefusalKeepsItsReason) {
  EXPECT_EQ(refused_by_us(GNUTLS_A_BAD_CERTIFICATE, "expired").message, "expired");
  EXPECT_EQ(refused_by_us(200, "").message, "the handshake failed: alert 200");
}

}  // namespace
}  // namespace stoq::quic
