// The images of the node: list, inspect, remove, collect garbage.

#include <fmt/format.h>

#include "api/handlers.hpp"
#include "api/image_routes.hpp"
#include "objects/object.hpp"

namespace nexus::api {

Reply<ImageAdmin*> image_admin(const Exchange& exchange) {
  if (exchange.backend().images == nullptr)
    return refuse(base::Errc::Unsupported, "this node keeps no images: it runs plain processes");
  return exchange.backend().images;
}

Reply<std::string> image_reference(const Exchange& exchange) {
  const std::string reference(exchange.query().get("reference"));
  if (reference.empty()) return bad_request("no image is named: ?reference=web:1");
  return reference;
}

base::Task<Reply<>> list_images(Exchange& exchange) {
  CO_TRY(ImageAdmin* const images, image_admin(exchange));
  CO_TRY(const auto all, co_await images->list());
  Json items = Json::array();
  for (const ImageSummary& image : all) {
    items.push_back({{"id", image.id},
                     {"references", image.references},
                     {"digest", image.digest},
                     {"platform", image.platform},
                     {"bytes", image.bytes},
                     {"created", base::to_rfc3339(image.created)},
                     {"inUse", image.in_use}});
  }
  const Json body = {
      {"kind", "ImageList"}, {"apiVersion", "hypermesh.io/v1"}, {"items", std::move(items)}};
  co_return co_await exchange.answer(200, body);
}

base::Task<Reply<>> inspect_image(Exchange& exchange) {
  CO_TRY(ImageAdmin* const images, image_admin(exchange));
  CO_TRY(std::string reference, image_reference(exchange));
  CO_TRY(std::string text, co_await images->inspect(std::move(reference)));
  co_return co_await exchange.answer_text(200, "application/json", std::move(text));
}

base::Task<Reply<>> remove_image(Exchange& exchange) {
  CO_TRY(ImageAdmin* const images, image_admin(exchange));
  CO_TRY(const std::string reference, image_reference(exchange));
  CO_TRY_DO(co_await images->remove(reference));
  CO_TRY(std::string receipt, co_await exchange.record("delete", "image/" + reference, ""));
  const Json status = {{"kind", "Status"},
                       {"apiVersion", "v1"},
                       {"metadata", Json::object()},
                       {"status", "Success"}};
  co_return co_await exchange.answer(200, status, {{"HyperMesh-Receipt", std::move(receipt)}});
}

base::Task<Reply<>> collect_garbage(Exchange& exchange) {
  CO_TRY(ImageAdmin* const images, image_admin(exchange));
  CO_TRY(const ImageGarbage report, co_await images->collect_garbage());
  CO_TRY(std::string receipt,
         co_await exchange.record("gc", "images", fmt::format("{} bytes", report.bytes_freed)));
  const Json body = {{"kind", "ImageGarbage"},
                     {"apiVersion", "hypermesh.io/v1"},
                     {"bytesFreed", report.bytes_freed},
                     {"blobsRemoved", report.blobs_removed},
                     {"layersRemoved", report.layers_removed}};
  co_return co_await exchange.answer(200, body, {{"HyperMesh-Receipt", std::move(receipt)}});
}

}  // namespace nexus::api
