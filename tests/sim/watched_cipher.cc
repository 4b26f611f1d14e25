#include "watched_cipher.h"

#include <utility>

namespace ringcast::sim {
namespace {

std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

bool WatchedCipher::seal(const tls::RecordKey& key, tls::ContentType type, tls::Pieces& content,
                         std::size_t bytes, std::span<std::byte> record) {
  std::string used(1, static_cast<char>(static_cast<unsigned>(key.suite) & 0xff));
  used += as_text(key.key);
  const std::size_t number = key_numbers_.try_emplace(used, keys_.size()).first->second;
  if (number == keys_.size()) keys_.emplace_back();
  used += as_text(key.nonce);
  if (!nonces_.insert(std::move(used)).second) {
    world_.fail("a nonce is used twice under one key (record %zu of it)",
                keys_[number].sealed_ns.size());
  }
  if (!RecordCipher::seal(key, type, content, bytes, record)) return false;
  Key& sealed = keys_[number];
  if (sealed.ended) world_.fail("something is sealed behind an alert");
  sealed.ended = type == tls::ContentType::alert;
  const auto tag = record.subspan(bytes + tls::kRecordOverheadBytes - tls::kTagBytes);
  by_tag_.emplace(as_text(tag.first(tls::kTagBytes)), Place{number, sealed.sealed_ns.size()});
  sealed.sealed_ns.push_back(world_.timeline.now());
  return true;
}

std::optional<WatchedCipher::Sealed> WatchedCipher::on_read(std::string_view record) {
  if (record.size() < tls::kRecordOverheadBytes) return std::nullopt;
  const auto found = by_tag_.find(std::string(record.substr(record.size() - tls::kTagBytes)));
  if (found == by_tag_.end()) return std::nullopt;
  Key& key = keys_[found->second.key];
  if (found->second.number != key.read) {
    world_.fail("record %zu of a key was read in place of record %zu", found->second.number,
                key.read);
  }
  return Sealed{found->second.key, key.sealed_ns[key.read++]};
}

std::optional<std::uint64_t> WatchedCipher::oldest_unread_ns(std::size_t key) const {
  const Key& sealed = keys_[key];
  if (sealed.read == sealed.sealed_ns.size()) return std::nullopt;
  return sealed.sealed_ns[sealed.read];
}

}  // namespace ringcast::sim
