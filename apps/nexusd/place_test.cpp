#include "place.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "configuration/configuration.hpp"

namespace apps {
namespace {

using testing::ElementsAre;

Place place(const base::config::Environment& environment) {
  auto loaded = load_configuration({}, environment);
  EXPECT_TRUE(loaded && loaded->ok());
  return find_place(loaded->effective, "machine-7");
}

TEST(Place, WithoutAWordItIsOnLoopbackAndNamedAfterTheMachine) {
  const Place found = place({});
  EXPECT_EQ(found.name, "machine-7");
  EXPECT_THAT(found.addresses, ElementsAre("::1", "127.0.0.1"));
  EXPECT_EQ(found.identity, "/var/lib/hypermesh/identity.key");
  EXPECT_EQ(found.state, "/var/lib/hypermesh/nexus");
  EXPECT_EQ(found.run, "/var/lib/hypermesh/nexus/run");
}

TEST(Place, TheConfigurationGivesNameFolderAndAddresses) {
  const Place found = place({{"HYPERMESH_NODE__ID", "n1"},
                             {"STOQ_DATA_DIRECTORY", "/srv/mesh"},
                             {"NEXUS_API__LISTEN", "192.0.2.1:8443"},
                             {"NEXUS_DNS__LISTEN", "[2001:db8::1]:53"}});
  EXPECT_EQ(found.name, "n1");
  EXPECT_EQ(found.state, "/srv/mesh/nexus");
  EXPECT_THAT(found.addresses, ElementsAre("2001:db8::1", "192.0.2.1"));
}

TEST(Place, AnyAddressIsNone) {
  EXPECT_THAT(place({{"NEXUS_API__LISTEN", "0.0.0.0:8443"}}).addresses,
              ElementsAre("::1", "127.0.0.1"));
  EXPECT_THAT(place({{"NEXUS_API__LISTEN", "192.0.2.1:8443"}}).addresses, ElementsAre("192.0.2.1"));
}

}  // namespace
}  // namespace apps
