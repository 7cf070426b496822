#include "ed25519/point.hpp"

namespace base::ed25519 {

namespace {

struct Constants {
  Field d, d2, root_of_minus_1;
};

const Constants& constants() {
  static const Constants made = [] {
    const Field minus_121665 = sub(Field{}, Field::of(121'665));
    const Field d = mul(minus_121665, invert(Field::of(121'666)));
    // 2 is no square modulo p, so 2^((p - 1) / 4) is a root of -1: (p - 1) / 4 = 2 (p - 5) / 8 + 1.
    const Field two = Field::of(2);
    return Constants{d, mul(d, two), mul(square(power_for_root(two)), two)};
  }();
  return made;
}

}  // namespace

const Point& base_point() {
  static const Point made = [] {
    const auto y = encode(mul(Field::of(4), invert(Field::of(5))));
    return *decompress(y);
  }();
  return made;
}

// RFC 8032, section 5.1.3.
std::optional<Point> decompress(BytesView bytes) {
  const auto y = decode(bytes);
  if (!y) return std::nullopt;
  const Field one = Field::of(1), y2 = square(*y);
  const Field u = sub(y2, one), v = add(mul(constants().d, y2), one);
  const Field v3 = mul(square(v), v);
  const Field v7 = mul(square(v3), v);
  Field x = mul(mul(u, v3), power_for_root(mul(u, v7)));
  const Field vx2 = mul(v, square(x));
  if (!equal(vx2, u)) {
    if (!is_zero(add(vx2, u))) return std::nullopt;
    x = mul(x, constants().root_of_minus_1);
  }
  if (is_odd(x) != ((bytes[31] & 0x80) != 0)) x = mul(sub(Field{}, x), one);
  return Point{x, *y, one, mul(x, *y)};
}

Point negate(const Point& a) {
  const Field one = Field::of(1);
  return {mul(sub(Field{}, a.x), one), a.y, a.z, mul(sub(Field{}, a.t), one)};
}

Point twice(const Point& p) {
  const Field a = square(p.x), b = square(p.y);
  const Field c = square(p.z);
  const Field h = add(a, b), e = sub(h, square(add(p.x, p.y)));
  const Field g = sub(a, b), f = add(add(c, c), g);
  return {mul(e, f), mul(g, h), mul(f, g), mul(e, h)};
}

namespace {

Point finish(const Field& a, const Field& b, const Field& f, const Field& g) {
  const Field e = sub(b, a), h = add(b, a);
  return {mul(e, f), mul(g, h), mul(f, g), mul(e, h)};
}

}  // namespace

Point add(const Point& p, const Point& q) {
  const Field zz = mul(p.z, q.z);
  const Field c = mul(mul(p.t, q.t), constants().d2), d = add(zz, zz);
  return finish(mul(sub(p.y, p.x), sub(q.y, q.x)), mul(add(p.y, p.x), add(q.y, q.x)), sub(d, c),
                add(d, c));
}

Point add(const Point& p, const Addend& q) {
  const Field c = mul(p.t, q.xy2d), d = add(p.z, p.z);
  return finish(mul(sub(p.y, p.x), q.y_minus_x), mul(add(p.y, p.x), q.y_plus_x), sub(d, c),
                add(d, c));
}

Point sub(const Point& p, const Addend& q) {
  const Field c = mul(p.t, q.xy2d), d = add(p.z, p.z);
  return finish(mul(sub(p.y, p.x), q.y_plus_x), mul(add(p.y, p.x), q.y_minus_x), add(d, c),
                sub(d, c));
}

bool is_identity(const Point& a) {
  return is_zero(a.x) && equal(a.y, a.z);
}

bool has_small_order(const Point& a) {
  return is_identity(twice(twice(twice(a))));
}

// One inversion for all (Montgomery's trick).
std::vector<Addend> addends(const std::vector<Point>& points) {
  std::vector<Field> before;
  Field all = Field::of(1);
  for (const Point& point : points) {
    before.push_back(all);
    all = mul(all, point.z);
  }
  Field inverse = invert(all);
  std::vector<Addend> made(points.size());
  for (std::size_t i = points.size(); i-- > 0;) {
    const Point& point = points[i];
    const Field over_z = mul(inverse, before[i]);
    inverse = mul(inverse, point.z);
    const Field x = mul(point.x, over_z), y = mul(point.y, over_z), one = Field::of(1);
    made[i] = {mul(add(y, x), one), mul(sub(y, x), one), mul(mul(x, y), constants().d2)};
  }
  return made;
}

}  // namespace base::ed25519
