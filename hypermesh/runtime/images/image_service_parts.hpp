#pragma once

// What the two halves of ImageService share: pulling (image_service.cpp), and what an operator does
// (image_service_admin.cpp).

#include "runtime/images/blob_fetches.hpp"
#include "runtime/images/image_service.hpp"

namespace hypermesh {

/// A pull as progress displays see it; listed as long as it lives.
struct ImageService::Running {
  Running(ImageService& service, std::string reference)
      : service(service), reference(std::move(reference)) {
    service.running_.push_back(this);
  }
  ~Running() { service.running_.remove(this); }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  ImageService& service;
  const std::string reference;
  std::uint64_t bytes_total = 0;
  std::uint32_t layers_total = 0, layers_done = 0;
  std::list<BlobFetches::Ticket> tickets;  // A list: tickets stay where they are.
};

/// Layers that garbage collection leaves alone as long as this lives.
class ImageService::LayerPins {
 public:
  LayerPins(ImageService& service, const std::vector<ContentDigest>& diff_ids)
      : service_(service), pinned_(layers_of(diff_ids)) {
    for (const auto& digest : pinned_) ++service_.layer_pins_[digest];
  }
  ~LayerPins() {
    for (const auto& digest : pinned_) {
      if (const auto it = service_.layer_pins_.find(digest); --it->second == 0)
        service_.layer_pins_.erase(it);
    }
  }
  LayerPins(const LayerPins&) = delete;
  LayerPins& operator=(const LayerPins&) = delete;

 private:
  ImageService& service_;
  const std::set<ContentDigest> pinned_;
};

/// A layer that is being made or removed: others wait for layer_changed_.
class ImageService::Busy {
 public:
  Busy(ImageService& service, std::set<ContentDigest> digests)
      : service_(service), digests_(std::move(digests)) {
    service_.busy_layers_.insert(digests_.begin(), digests_.end());
  }
  ~Busy() {
    for (const auto& digest : digests_) service_.busy_layers_.erase(digest);
    service_.layer_changed_.notify();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  ImageService& service_;
  const std::set<ContentDigest> digests_;
};

struct ImageService::Lease {
  Lease(ImageService& service, ImageRecord kept, std::string holder)
      : record(std::move(kept)),
        holder(std::move(holder)),
        blobs(*service.store_),
        layers(service, record.diff_ids) {
    for (const auto& blob : record.blobs()) blobs.add(blob);
  }
  const ImageRecord record;
  const std::string holder;
  BlobPins blobs;
  LayerPins layers;
};

}  // namespace hypermesh
