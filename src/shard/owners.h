#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ringcast/base/slab.h"
#include "ringcast/shard/rate_table.h"
#include "ringcast/uring/operation.h"

namespace ringcast::shard {

/// What a stream has because of who opened it: a place among those of its address, a token that
/// expires. Streams without either, anonymous ones of a server that does not count addresses, have
/// none.
struct Owner {
  RateTable::Key address = 0;  ///< when holds_address
  std::uint64_t session = 0;   ///< auth::Claims::session; 0 = anonymous
  uring::Slot slot{};
  std::uint32_t ends_s = 0;   ///< monotonic seconds: when the stream is to be ended; kNever
  std::uint32_t put_off = 0;  ///< times that it could not be ended yet
  std::uint32_t next = 0;     ///< in its bucket
  std::uint32_t previous = 0;
  bool holds_address = false;
  bool signed_out = false;  ///< the reason is that, not the expiry
};
static_assert(sizeof(Owner) == 40, "what a signed-in stream costs beside its slot");

/// Owners of the streams of one shard, and which of them are due to be ended: a hashed timer wheel
/// (Varghese and Lauck, 1987, scheme 6) of one-second buckets. Starting and stopping a timer is a
/// few writes; one that lies several turns of the wheel ahead is looked at once in each. Memory: 40
/// bytes for each owner, and 4 KB. Single-threaded.
class Owners {
 public:
  using Handle = std::uint32_t;
  static constexpr Handle kNone = 0xffff'ffff;
  static constexpr std::uint32_t kNever = 0xffff'ffff;

  explicit Owners(std::size_t streams_max);

  [[nodiscard]] bool full() const { return slab_.full(); }
  /// Not when `full`. Timed by `owner.ends_s`, if that is not kNever.
  [[nodiscard]] Handle add(const Owner& owner);
  void remove(Handle handle);
  [[nodiscard]] const Owner& operator[](Handle handle) const { return slab_[handle]; }

  /// The user signed out: due at once.
  void sign_out(Handle handle);
  /// It was due and cannot be ended now: due again in the second after `now_s`.
  void put_off(Handle handle, std::uint32_t now_s);

  /// Replaces `due` with at most `most` owners whose time has come; each is then to be removed or
  /// put off. True when there may be more.
  [[nodiscard]] bool take_due(std::uint32_t now_s, std::size_t most, std::vector<Handle>& due);
  /// Any owner with a time: the wheel must be looked at each second.
  [[nodiscard]] bool any_timed() const { return timed_ > 0; }
  [[nodiscard]] std::size_t size() const { return slab_.size(); }

 private:
  static constexpr std::uint32_t kBuckets = 1024;  // a power of two

  void link(Handle handle);
  void unlink(Handle handle);

  Slab<Owner> slab_;
  std::array<Handle, kBuckets> buckets_;
  std::size_t timed_ = 0;
  std::uint32_t next_s_ = 0;  // no owner is due before this second
};

}  // namespace ringcast::shard
