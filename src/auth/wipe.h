#pragma once

#include <cstring>
#include <string>

namespace ringcast::auth {

/// Overwrites all that the text occupies, and empties it. After a move too: a short text leaves its
/// bytes where it was.
inline void wipe(std::string& text) {
  text.resize(text.capacity());
  explicit_bzero(text.data(), text.size());
  text.clear();
}

}  // namespace ringcast::auth
