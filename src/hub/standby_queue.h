#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace ringcast::hub {

/// The place of a message of the channel: the `number`th after the mark of `epoch`. As the field
/// `c` of an entry: `epoch:number`, decimal.
struct ChannelNumber {
  std::uint64_t epoch = 0;
  std::uint64_t number = 0;
  friend bool operator==(const ChannelNumber&, const ChannelNumber&) = default;
};
[[nodiscard]] std::optional<ChannelNumber> parse_channel_number(std::string_view text);

struct StandbyLimits {
  std::size_t messages_max = 262'144;
  std::size_t bytes_max = std::size_t{64} << 20;  ///< with kMessageOverheadBytes for each message
};

/// What was heard on the channel and is not known to be in the stream, numbered by the marks.
///
///   segments, oldest first, one for each mark:
///     epoch 17, frozen   [4][5][6]          heard on a subscription that was lost
///     epoch 19, closed   [1][2]             a later mark was heard
///     epoch 20, open     [7][8][9][10]      the next message will be 20:11
///                      sent  ^
///
/// Numbers within a segment have no hole: whatever is dropped is dropped from the front. A message
/// leaves when its number, or a greater one of its epoch, is known to be in the stream.
///
/// Pure: no I/O, time in monotonic nanoseconds is handed in. One thread.
class StandbyQueue {
 public:
  struct Message {
    std::string text;
    bool too_large = false;  ///< was not kept
    bool no_event = false;   ///< its number counts, but there is nothing to append
  };
  /// Messages of one segment, `first` and the next ones.
  struct Slice {
    std::uint64_t epoch = 0;
    std::uint64_t first = 0;
    std::size_t count = 0;
    bool frozen = false;
    bool open = false;
    [[nodiscard]] std::uint64_t last() const { return first + count - 1; }
  };
  struct SliceLimits {
    std::size_t messages_max = 64;
    std::size_t bytes_max = std::size_t{256} << 10;  ///< of texts; one message may exceed it
  };
  /// A standby leaves messages to the relay, unless they seem to be forgotten.
  enum class Role : std::uint8_t { standby, relay };

  static constexpr std::size_t kMessageOverheadBytes = 64;
  /// A standby that heard a mark (of a new relay, perhaps, which did not hear what was before it)
  /// appends what is left before it after this time without progress.
  static constexpr std::uint64_t kClosedPatienceNs = 500'000'000;
  static constexpr std::uint64_t kOpenPatienceNs = 5'000'000'000;

  explicit StandbyQueue(const StandbyLimits& limits) : limits_(limits) {}

  /// Numbering has begun and was not interrupted.
  [[nodiscard]] bool standing() const { return !segments_.empty() && segments_.back().open; }
  /// From here on messages are `epoch`:1, … False if `epoch` is here already: not a new mark.
  bool mark(std::uint64_t epoch, std::uint64_t now_ns);
  /// Numbers a message and keeps it; does nothing while not standing. Returns how many of the
  /// oldest had to be dropped.
  std::size_t hear(Message message, std::uint64_t now_ns);
  /// The subscription was lost: what comes next is not numbered until the next mark, and what is
  /// here is to be appended in strict form.
  void freeze();
  /// The stream has this number and those before it.
  void settle(const ChannelNumber& up_to, std::uint64_t now_ns);

  /// The oldest messages that were not sent and that `role` should append now.
  [[nodiscard]] std::optional<Slice> next(Role role, std::uint64_t now_ns,
                                          const SliceLimits& limits) const;
  /// When `next` of a standby will have something; nothing = only after something else happens.
  [[nodiscard]] std::optional<std::uint64_t> next_due_ns() const;
  /// A message of a slice that `next` has just returned.
  [[nodiscard]] Message& message(const Slice& slice, std::size_t index);
  /// The message has nothing to append: its number stays, its text is freed.
  void clear(Message& message);
  void sent(const Slice& slice);
  /// Nothing of what is here counts as sent any more.
  void unsend();

  /// From frozen to closed.
  void thaw(std::uint64_t epoch);
  /// Forgets a closed or frozen segment; returns how many messages it had.
  std::size_t drop(std::uint64_t epoch);

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool has_frozen() const;

 private:
  struct Segment {
    std::uint64_t epoch = 0;
    std::uint64_t next = 1;         ///< number of the next message that is heard
    std::uint64_t settled = 0;      ///< known to be in the stream, even before it was heard
    std::size_t sent = 0;           ///< of `messages`, from the front
    std::uint64_t progress_ns = 0;  ///< opened, closed, or when a message left it last
    bool open = true;
    bool frozen = false;
    std::deque<Message> messages{};

    [[nodiscard]] std::uint64_t first() const { return next - messages.size(); }
    [[nodiscard]] std::uint64_t due_ns() const;
  };

  [[nodiscard]] Segment* find(std::uint64_t epoch);
  void pop_front(Segment& segment);
  void forget_empty();

  StandbyLimits limits_;
  std::deque<Segment> segments_;
  ChannelNumber newest_settled_{};
  std::size_t size_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace ringcast::hub
