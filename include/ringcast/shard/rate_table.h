#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "ringcast/base/time.h"
#include "ringcast/base/token_bucket.h"

namespace ringcast::shard {

/// Token buckets and counts of open streams for many keys: client addresses, or users.
///
///            key (XXH3, seeded)
///               │ some bits choose the stripe
///     stripe 0  ▼   stripe 1   …            each: mutex, hash table, list of idle entries
///     held: never pushed out                entry: arrival time of each bucket, holders
///     idle: least recently used goes first
///
/// One table serves all shards, since a limit that each shard counted for itself would be as many
/// times higher as the kernel happens to spread a client's connections. It is asked when a
/// connection or stream begins or ends and when somebody publishes or signs in, never on the path
/// of an event to its streams; a stripe is locked for well below a microsecond.
///
/// Bounds: `idle_max` entries without holders, spread evenly over the stripes and rounded up (at
/// least one each), and those with holders, of which there are at most as many as streams; 40 bytes
/// each, and 4 to 8 of the hash table. Memory of held entries is kept for later ones. Losing an
/// idle entry fills its buckets: so `idle_max` is how many addresses an attacker needs.
///
/// Each asking makes an idle entry the most recent one, a refused one too: who is over a limit does
/// not get out of it by asking on.
///
/// Threads: all members on any.
class RateTable {
 public:
  static constexpr std::size_t kBuckets = 2;
  using Key = std::uint64_t;

  /// `seed` is random, so that nobody can choose keys that meet.
  RateTable(std::size_t idle_max, std::uint64_t seed);
  ~RateTable();

  [[nodiscard]] Key key(std::string_view bytes) const;

  /// Takes a token of the key's bucket, or returns how long until there is one, in nanoseconds;
  /// 0 = taken. A rate without limit takes nothing and leaves no entry behind.
  [[nodiscard]] std::uint64_t try_take(Key key, std::size_t bucket, const TokenRate& rate,
                                       Time now);
  /// Counts one holder more unless the key has `most` of them already; 0 = no limit, still counted.
  [[nodiscard]] bool try_hold(Key key, std::uint32_t most);
  /// Takes back one `try_hold` that returned true. With the last one the entry is idle.
  void release(Key key);

  /// Entries, for metrics and tests.
  [[nodiscard]] std::size_t size() const;

 private:
  struct Stripe;
  static constexpr std::size_t kStripes = 64;  // a power of two

  [[nodiscard]] Stripe& stripe(Key key) const;

  std::uint64_t seed_;
  std::unique_ptr<Stripe[]> stripes_;
};

}  // namespace ringcast::shard
