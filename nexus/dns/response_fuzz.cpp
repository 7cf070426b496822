// Answers from servers that we forward to.
#include "dns/answer_cache.hpp"
#include "dns/message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const base::BytesView message(data, size);
  (void)nexus::dns::parse_response(message);
  (void)nexus::dns::seconds_to_keep(message);
  (void)nexus::dns::read_alias_records(message);
  base::Bytes aged(data, data + size);
  (void)nexus::dns::age_records(aged, 3);
  nexus::dns::AnswerCache cache(1);
  const base::Bytes question(data, data + size / 2);
  cache.keep(question, aged, {});
  (void)cache.find(question, {});
  return 0;
}
