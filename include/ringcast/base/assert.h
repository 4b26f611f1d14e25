#pragma once

/// Three levels of checking, from the outside in:
///   Result<T>          what the outside world causes; see result.h
///   RC_ASSERT          a bug of ours; always on, prints the place and aborts
///   RC_DEBUG_ASSERT    a bug of ours whose check is too costly for the path of an event
namespace ringcast {

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line) noexcept;

}  // namespace ringcast

#define RC_ASSERT(condition)                           \
  (static_cast<bool>(condition) ? static_cast<void>(0) \
                                : ::ringcast::assertion_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define RC_DEBUG_ASSERT(condition) static_cast<void>(0)
#else
#define RC_DEBUG_ASSERT(condition) RC_ASSERT(condition)
#endif
