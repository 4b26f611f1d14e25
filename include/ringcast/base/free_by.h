#pragma once

namespace ringcast {

/// The deleter of a std::unique_ptr to what a C library hands out: `FreeBy<EVP_PKEY_free>`.
template <auto Free>
struct FreeBy {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};

}  // namespace ringcast
