#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "ringcast/tls/record_cipher.h"

#include "world.h"

namespace ringcast::sim {

/// The record cipher of all simulated shards. It fails the run when a nonce is used a second time
/// under one key, or when anything is sealed behind an alert, which is a connection's last word.
///
/// Beside that it is a ledger: each record that was sealed is read by one client, once and in its
/// order, or not at all.
///
///    key 7    0  1  2  3  4  5          sealed, with the time of each
///             read─────►
class WatchedCipher final : public tls::RecordCipher {
 public:
  explicit WatchedCipher(World& world) : world_(world) {}

  [[nodiscard]] bool seal(const tls::RecordKey& key, tls::ContentType type, tls::Pieces& content,
                          std::size_t bytes, std::span<std::byte> record) override;

  struct Sealed {
    std::size_t key = 0;
    std::uint64_t sealed_ns = 0;
  };
  /// A client has got this record. Nothing if it was not sealed here but by an `SSL` object.
  [[nodiscard]] std::optional<Sealed> on_read(std::string_view record);
  /// When the oldest record under the key was sealed that nobody has read.
  [[nodiscard]] std::optional<std::uint64_t> oldest_unread_ns(std::size_t key) const;

  [[nodiscard]] std::uint64_t records() const { return nonces_.size(); }
  [[nodiscard]] std::uint64_t keys() const { return keys_.size(); }

 private:
  struct Key {
    std::vector<std::uint64_t> sealed_ns;  // of each record
    std::size_t read = 0;
    bool ended = false;  // by an alert
  };
  struct Place {
    std::size_t key;
    std::size_t number;
  };

  World& world_;
  std::unordered_set<std::string> nonces_;  // behind suite and key
  std::unordered_map<std::string, std::size_t> key_numbers_;
  std::vector<Key> keys_;
  std::unordered_map<std::string, Place> by_tag_;
};

}  // namespace ringcast::sim
