#include "ringcast/shard/rate_table.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <vector>

#include <xxhash.h>

#include "ringcast/base/assert.h"
#include "ringcast/base/slab.h"

namespace ringcast::shard {
namespace {

constexpr int kKeyBits = 64;

/// What is known of one key. Entries of a hash bucket are chained; an entry without holders is in
/// the list of idle ones too. Links are handles of the stripe's slab.
///
///              try_take                    try_hold
///   no entry ───────────► idle  ◄───────────────────────► held
///      ▲                   │       release of the last
///      └─── pushed out ────┘
struct Entry {
  RateTable::Key key = 0;
  std::array<std::uint64_t, RateTable::kBuckets> arrival_ns{};  ///< see TokenRate
  std::uint32_t holders = 0;
  std::uint32_t chain = 0;  ///< next in the hash bucket
  std::uint32_t newer = 0;  ///< towards the front of the idle list
  std::uint32_t older = 0;
};
// An attacker with many addresses makes `idle_max` of them.
static_assert(sizeof(Entry) <= 48);

}  // namespace

/// A part of the keys. `heads` has a power of two of buckets, at least as many as entries, so that
/// a chain is short; it is as large as `idle_max` needs from the start and grows with held entries
/// alone.
///
/// Invariant: `idle` entries are in the list from `newest` to `oldest`, each with no holders; no
/// other entry has none.
struct alignas(64) RateTable::Stripe {
  using Entries = Slab<Entry>;
  using Handle = Entries::Handle;
  static constexpr Handle kNone = Entries::kNone;

  mutable std::mutex mutex;
  std::vector<Handle> heads;
  Entries entries{kNone};
  std::size_t idle = 0;
  std::size_t idle_max = 1;
  Handle newest = kNone;
  Handle oldest = kNone;

  [[nodiscard]] Handle find(Key key) const {
    Handle at = heads[bucket(key)];
    while (at != kNone && entries[at].key != key) at = entries[at].chain;
    return at;
  }

  /// A new entry, in no list yet.
  Handle insert(Key key) {
    if (entries.size() == heads.size()) grow();
    const Handle at = entries.take();
    RC_ASSERT(at != kNone);  // more keys than streams and idle entries together can be
    entries[at] = Entry{.key = key};
    chain(at);
    return at;
  }

  void push_newest(Handle at) {
    entries[at].newer = kNone;
    entries[at].older = newest;
    (newest == kNone ? oldest : entries[newest].newer) = at;
    newest = at;
    ++idle;
  }

  void unlink(Handle at) {
    const Entry& entry = entries[at];
    (entry.newer == kNone ? newest : entries[entry.newer].older) = entry.older;
    (entry.older == kNone ? oldest : entries[entry.older].newer) = entry.newer;
    --idle;
  }

  /// Until there is room for one more idle entry.
  void push_out_oldest() {
    while (idle >= idle_max) {
      const Handle at = oldest;
      unlink(at);
      Handle* link = &heads[bucket(entries[at].key)];
      while (*link != at) link = &entries[*link].chain;
      *link = entries[at].chain;
      entries.give_back(at);
    }
  }

 private:
  // The stripe was chosen by the highest bits.
  [[nodiscard]] std::size_t bucket(Key key) const { return key & (heads.size() - 1); }

  void chain(Handle at) {
    Handle& head = heads[bucket(entries[at].key)];
    entries[at].chain = head;
    head = at;
  }

  void grow() {
    std::vector<Handle> smaller(2 * heads.size(), kNone);
    smaller.swap(heads);
    for (Handle next : smaller) {
      while (next != kNone) {
        const Handle at = next;
        next = entries[at].chain;
        chain(at);
      }
    }
  }
};

RateTable::RateTable(std::size_t idle_max, std::uint64_t seed)
    : seed_(seed), stripes_(std::make_unique<Stripe[]>(kStripes)) {
  const std::size_t share = std::max<std::size_t>(1, (idle_max + kStripes - 1) / kStripes);
  for (std::size_t i = 0; i < kStripes; ++i) {
    stripes_[i].idle_max = share;
    stripes_[i].heads.assign(std::bit_ceil(share), Stripe::kNone);
  }
}

RateTable::~RateTable() = default;

RateTable::Key RateTable::key(std::string_view bytes) const {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed_);
}

RateTable::Stripe& RateTable::stripe(Key key) const {
  return stripes_[key >> (kKeyBits - std::countr_zero(kStripes))];
}

std::uint64_t RateTable::try_take(Key key, std::size_t bucket, const TokenRate& rate, Time now) {
  RC_ASSERT(bucket < kBuckets);
  if (!rate.limited()) return 0;
  Stripe& stripe = this->stripe(key);
  const std::lock_guard lock(stripe.mutex);
  Stripe::Handle at = stripe.find(key);
  if (at == Stripe::kNone) {
    stripe.push_out_oldest();
    at = stripe.insert(key);
    stripe.push_newest(at);
  } else if (stripe.entries[at].holders == 0 && at != stripe.newest) {
    stripe.unlink(at);
    stripe.push_newest(at);
  }
  std::uint64_t& arrival_ns = stripe.entries[at].arrival_ns[bucket];
  if (rate.try_take(arrival_ns, now)) return 0;
  return rate.wait_ns(arrival_ns, now);
}

bool RateTable::try_hold(Key key, std::uint32_t most) {
  Stripe& stripe = this->stripe(key);
  const std::lock_guard lock(stripe.mutex);
  Stripe::Handle at = stripe.find(key);
  if (at == Stripe::kNone) {
    at = stripe.insert(key);
  } else if (most != 0 && stripe.entries[at].holders >= most) {
    return false;
  } else if (stripe.entries[at].holders == 0) {
    stripe.unlink(at);
  }
  ++stripe.entries[at].holders;
  return true;
}

void RateTable::release(Key key) {
  Stripe& stripe = this->stripe(key);
  const std::lock_guard lock(stripe.mutex);
  const Stripe::Handle at = stripe.find(key);
  RC_ASSERT(at != Stripe::kNone && stripe.entries[at].holders > 0);
  if (--stripe.entries[at].holders > 0) return;
  stripe.push_out_oldest();
  stripe.push_newest(at);
}

std::size_t RateTable::size() const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < kStripes; ++i) {
    const std::lock_guard lock(stripes_[i].mutex);
    sum += stripes_[i].entries.size();
  }
  return sum;
}

}  // namespace ringcast::shard
