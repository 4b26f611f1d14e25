#pragma once

#include "random.h"

namespace ringcast::sim {

/// While one of these lives, everything random that OpenSSL makes comes from it: keys, nonces,
/// tickets. The length of a ticket depends on what is in it, so without this a seed would not
/// always give the same run.
class SeededOpenssl {
 public:
  explicit SeededOpenssl(std::uint64_t seed);
  ~SeededOpenssl();
  SeededOpenssl(const SeededOpenssl&) = delete;
  SeededOpenssl& operator=(const SeededOpenssl&) = delete;

 private:
  static int fill(unsigned char* bytes, int size);
  static int ready();

  static SeededOpenssl* current_;  // OpenSSL's callbacks have no argument
  Random random_;
};

}  // namespace ringcast::sim
