// A RAND_METHOD is deprecated in favour of a provider, of which OpenSSL 3.0 has none that would
// give a sequence of one's own.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "seeded_openssl.h"

#include <openssl/rand.h>

#include "ringcast/base/assert.h"

namespace ringcast::sim {

SeededOpenssl* SeededOpenssl::current_ = nullptr;

SeededOpenssl::SeededOpenssl(std::uint64_t seed) : random_(seed) {
  static const RAND_METHOD method = {.seed = nullptr,
                                     .bytes = fill,
                                     .cleanup = nullptr,
                                     .add = nullptr,
                                     .pseudorand = fill,
                                     .status = ready};
  RC_ASSERT(current_ == nullptr);
  current_ = this;
  RC_ASSERT(RAND_set_rand_method(&method) == 1);
}

SeededOpenssl::~SeededOpenssl() {
  RC_ASSERT(RAND_set_rand_method(nullptr) == 1);
  current_ = nullptr;
}

int SeededOpenssl::fill(unsigned char* bytes, int size) {
  for (int i = 0; i < size; ++i) bytes[i] = static_cast<unsigned char>(current_->random_.next());
  return 1;
}

int SeededOpenssl::ready() {
  return 1;
}

}  // namespace ringcast::sim
