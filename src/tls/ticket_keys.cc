#include "ringcast/tls/ticket_keys.h"

#include <algorithm>
#include <cstring>
#include <mutex>
#include <new>

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/mman.h>

#include "ringcast/base/assert.h"

namespace ringcast::tls {
namespace {

constexpr std::uint64_t kSealsNs = std::uint64_t{kTicketKeySeconds} * kNsPerSecond;
constexpr std::uint64_t kKeptNs = kSealsNs + std::uint64_t{kTicketSeconds} * kNsPerSecond;
// With each new key the oldest goes: it must have had its time by then.
constexpr std::size_t kKeys = kKeptNs / kSealsNs;
static_assert(kKeptNs % kSealsNs == 0);

}  // namespace

/// Newest first, on a page of its own, for madvise(2) knows whole pages only.
struct TicketKeys::Page {
  struct Slot {
    Key key;
    std::uint64_t made_ns = 0;
    bool used = false;
  };
  std::array<Slot, kKeys> slots;

  void put_new(Time now) {
    std::move_backward(slots.begin(), slots.end() - 1, slots.end());
    Slot& slot = slots.front();
    // Without random numbers there is no TLS at all.
    RC_ASSERT(RAND_bytes(slot.key.name.data(), static_cast<int>(slot.key.name.size())) == 1);
    RC_ASSERT(RAND_priv_bytes(slot.key.cipher.data(), static_cast<int>(slot.key.cipher.size())) ==
              1);
    RC_ASSERT(RAND_priv_bytes(slot.key.mac.data(), static_cast<int>(slot.key.mac.size())) == 1);
    slot.made_ns = now.mono_ns;
    slot.used = true;
  }
};

TicketKeys::Key::~Key() {
  OPENSSL_cleanse(cipher.data(), cipher.size());
  OPENSSL_cleanse(mac.data(), mac.size());
}

TicketKeys::Page* TicketKeys::make_page() {
  void* const memory = mmap(nullptr, sizeof(Page), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  RC_ASSERT(memory != MAP_FAILED);
  // Refused by no kernel that runs us; were it so, the keys would still be no worse than others.
  (void)madvise(memory, sizeof(Page), MADV_DONTDUMP);
  return new (memory) Page;
}

TicketKeys::TicketKeys(Time now) : page_(make_page()) {
  page_->put_new(now);
}

TicketKeys::~TicketKeys() {
  page_->~Page();
  munmap(page_, sizeof(Page));
}

bool TicketKeys::advance(Time now) {
  const std::unique_lock lock(mutex_);
  auto& slots = page_->slots;
  const bool due = now.mono_ns - slots.front().made_ns >= kSealsNs;
  if (due) page_->put_new(now);
  for (Page::Slot& slot : slots) {
    if (slot.used && now.mono_ns - slot.made_ns >= kKeptNs) slot = {};
  }
  return due;
}

TicketKeys::Key TicketKeys::newest() const {
  const std::shared_lock lock(mutex_);
  return page_->slots.front().key;
}

std::optional<TicketKeys::Found> TicketKeys::find(const unsigned char* name) const {
  const std::shared_lock lock(mutex_);
  for (const Page::Slot& slot : page_->slots) {
    if (slot.used && std::memcmp(slot.key.name.data(), name, slot.key.name.size()) == 0) {
      return Found{slot.key, &slot == &page_->slots.front()};
    }
  }
  return std::nullopt;
}

}  // namespace ringcast::tls
