#pragma once

namespace base {

/// Lets a C library's object go with `Free`: std::unique_ptr<X509, Freed<X509_free>>.
template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace base
