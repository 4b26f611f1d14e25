#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <shared_mutex>

#include "ringcast/base/time.h"

namespace ringcast::tls {

/// How long a key seals new tickets, and how long a client may come back with one.
inline constexpr std::uint32_t kTicketKeySeconds = 4 * 3600;
inline constexpr std::uint32_t kTicketSeconds = 8 * 3600;

/// The keys that seal session tickets (RFC 5077 section 4; RFC 8446 section 4.6.1). One object for
/// all shards, and for every Context that a reload makes: a client may resume on any of them.
///
///            made            4 h                             12 h
///   key      |-- seals new --|-- opens those it has sealed --| wiped
///
/// A ticket that an older key opens is answered with a new one. Who gets hold of a key can resume
/// as the client for as long as the key is kept, so they turn; what TLS 1.3 protects stays secret
/// even then, since every resumption exchanges fresh keys as well.
///
/// Threads: any thread may read, also while one advances. A reader takes a shared lock for the copy
/// of 80 bytes, once in a handshake. The keys are left out of core dumps, and wiped at the end.
class TicketKeys {
 public:
  struct Key {
    std::array<unsigned char, 16> name{};    // goes over the wire in clear
    std::array<unsigned char, 32> cipher{};  // AES-256-CBC
    std::array<unsigned char, 32> mac{};     // HMAC-SHA256

    Key() = default;
    Key(const Key&) = default;
    Key& operator=(const Key&) = default;
    ~Key();
  };
  struct Found {
    Key key;
    bool newest = false;
  };

  explicit TicketKeys(Time now);
  TicketKeys(const TicketKeys&) = delete;
  TicketKeys& operator=(const TicketKeys&) = delete;
  ~TicketKeys();

  /// Makes a new key when the newest has served its time and drops what is too old. To be called
  /// once a minute or so, by one thread. Returns whether there is a new key.
  bool advance(Time now);

  [[nodiscard]] Key newest() const;
  /// Nothing when no key that is still kept has the name.
  [[nodiscard]] std::optional<Found> find(const unsigned char* name) const;

 private:
  struct Page;
  static Page* make_page();

  mutable std::shared_mutex mutex_;
  Page* page_;
};

}  // namespace ringcast::tls
