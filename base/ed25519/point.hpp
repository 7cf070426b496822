#pragma once

// Points of edwards25519: -x^2 + y^2 = 1 + d x^2 y^2 (RFC 8032, section 5.1), with the formulas of
// Hisil, Wong, Carter and Dawson (Asiacrypt 2008). Not in constant time: for public values.

#include <vector>

#include "ed25519/field.hpp"

namespace base::ed25519 {

/// x = X / Z, y = Y / Z, x y = T / Z.
struct Point {
  Field x, y, z, t;

  static Point identity() { return {Field{}, Field::of(1), Field::of(1), Field{}}; }
};

/// A point with Z = 1, as additions want it. Of two cache lines.
struct alignas(64) Addend {
  Field y_plus_x, y_minus_x, xy2d;
};

/// The base point B of RFC 8032.
const Point& base_point();
/// None if the bytes are no point, or y is not below p.
std::optional<Point> decompress(BytesView bytes);

Point negate(const Point& a);
Point twice(const Point& a);
Point add(const Point& a, const Point& b);
Point add(const Point& a, const Addend& b);
Point sub(const Point& a, const Addend& b);
bool is_identity(const Point& a);
/// Whether its order divides the cofactor 8.
bool has_small_order(const Point& a);

std::vector<Addend> addends(const std::vector<Point>& points);

}  // namespace base::ed25519
