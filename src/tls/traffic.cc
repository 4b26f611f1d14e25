#include "ringcast/tls/traffic.h"

#include <openssl/crypto.h>

namespace ringcast::tls {

TrafficSecret::~TrafficSecret() {
  OPENSSL_cleanse(bytes.data(), bytes.size());
}

}  // namespace ringcast::tls
