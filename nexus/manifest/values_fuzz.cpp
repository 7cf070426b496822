// Quantities and selectors: what parses has a canonical form that parses to the same.
#include <cstdint>
#include <cstdlib>

#include "manifest/formats.hpp"
#include "manifest/label_selector.hpp"
#include "manifest/quantity.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nexus::manifest;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto quantity = Quantity::parse(text)) {
    const auto again = Quantity::parse(quantity->text());
    if (!again || *again != *quantity || again->text() != quantity->text()) std::abort();
    (void)quantity->millis();
  }
  if (const auto selector = LabelSelector::parse(text)) {
    const auto again = LabelSelector::parse(selector->text());
    if (!again || *again != *selector) std::abort();
    (void)selector->matches({{"app", "web"}});
  }
  for (auto check :
       {check_dns_label, check_dns_subdomain, check_label_key, check_label_value, check_port_name,
        check_ip, check_relative_path, check_base64, check_timestamp, check_resource_name}) {
    (void)check(text);
  }
  return 0;
}
