#pragma once

#include <algorithm>
#include <cstddef>

namespace ringcast::hub {

/// How many entries of the stream to ask for at once, beside the one that was read last.
///
/// Entries may be as long as `limits.event_bytes` (or, added by hand, longer), and a reply above
/// RedisSocket::kReplyBytesMax ends the connection, as may a limit of Redis itself. So a connection
/// that is lost while a page arrives makes the next page smaller, down to one entry, and one that
/// came makes it as large as it may be without coming near that limit.
class PageSize {
 public:
  static constexpr std::size_t kMost = 128;
  static constexpr std::size_t kReplyBytesWanted = std::size_t{16} << 20;

  [[nodiscard]] std::size_t entries() const { return entries_; }

  /// `came` of `asked` entries, `bytes` together.
  void on_reply(std::size_t asked, std::size_t came, std::size_t bytes) {
    if (bytes > kReplyBytesWanted) {
      entries_ = std::clamp(came * kReplyBytesWanted / bytes, std::size_t{1}, kMost);
    } else if (came >= asked) {
      entries_ = std::min(2 * entries_, kMost);
    }
  }
  void on_lost() { entries_ = std::max<std::size_t>(entries_ / 4, 1); }
  void at_most(std::size_t entries) { entries_ = std::min(entries_, entries); }

 private:
  std::size_t entries_ = kMost;
};

}  // namespace ringcast::hub
