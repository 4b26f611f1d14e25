#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ringcast/base/event_id.h"
#include "ringcast/hub/exchange.h"

#include "world.h"

namespace ringcast::sim {

/// Topics of the model are numbers; 0 is the public room.
inline constexpr std::uint32_t kTopics = 5;
[[nodiscard]] const std::string& topic_name(std::uint32_t topic);
/// A set of topics, one bit each; the public room is always meant.
using TopicMask = std::uint32_t;

/// What a publisher tried, and what became of it.
struct Publication {
  std::uint32_t number = 0;  ///< carried in the payload, so that whoever sees the event knows it
  std::uint32_t topic = 0;
  std::string event;  ///< as the client must see it
  std::string data;   ///< as the client must see it
  std::optional<std::uint32_t> retry;
  std::string body;  ///< the JSON that is sent
  int refusal = 0;   ///< the status that it must get; 0 = it is valid
  std::optional<EventId> acknowledged;
  bool refused = false;
  bool doubtful = false;  ///< the store may answer no and still take it
  bool sequenced = false;
};

/// The truth: every event in the order of its ID, as the store has it.
struct TruthEvent {
  EventId id;
  const Publication* publication;
  std::string frame;
};

/// What the hub told all shards, in this order: the log of each holds a part of it.
struct Delivered {
  EventId id;
  std::uint64_t bytes_before;  ///< of the frames of all earlier ones
  std::uint32_t frame_bytes;   ///< 0 for a hole, whose frame the shards make
  bool is_hole;
};

/// Who must have received what. `on_stored` is fed by the store, or, when that is the embedded one,
/// like `on_delivered` from a reader of its own at the hub's ring of events, which sees each event
/// before any shard can.
class Model {
 public:
  Model(World& world, EventId floor) : world_(world), floor_(floor) {}
  void set_floor(EventId floor) { floor_ = floor; }

  /// Makes up a publication whose body is at most `body_bytes_max`, or a bad one.
  [[nodiscard]] Publication& invent(std::size_t body_bytes_max);
  /// One whose frame is many times as large: so many line ends.
  [[nodiscard]] Publication& invent_large(std::size_t line_ends);
  /// The publication that has this event's name and data.
  [[nodiscard]] Publication* find_publication(const std::string& event, const std::string& data);
  /// Both get an EventRecord as the hub writes it.
  void on_stored(std::span<const std::byte> record);
  void on_delivered(std::span<const std::byte> record);
  /// The store keeps no event up to `id` any more.
  void on_trimmed(EventId id) { trimmed_ = std::max(trimmed_, count_up_to(id)); }
  void on_answer(Publication& publication, int status, std::string_view event_id);
  /// What must hold in the end.
  void check_publications();

  [[nodiscard]] const std::vector<TruthEvent>& truth() const { return truth_; }
  [[nodiscard]] EventId floor() const { return floor_; }
  /// How many events have an ID up to `id`.
  [[nodiscard]] std::size_t count_up_to(EventId id) const;
  /// How many events have an ID below `id`.
  [[nodiscard]] std::size_t count_before(EventId id) const;
  /// The ordinal of the event with this ID.
  [[nodiscard]] std::optional<std::size_t> find(EventId id) const;
  /// The ID of the newest event before an ordinal.
  [[nodiscard]] EventId before(std::size_t ordinal) const {
    return ordinal == 0 ? floor_ : truth_[ordinal - 1].id;
  }
  /// Events that the store does not keep any more: ordinals below this.
  [[nodiscard]] std::size_t trimmed() const { return trimmed_; }

  [[nodiscard]] const std::vector<Delivered>& delivered() const { return delivered_; }
  /// Everything was delivered, but for what was trimmed before.
  [[nodiscard]] bool all_delivered() const {
    return std::max(next_delivery_, certain_delivery_) >= truth_.size();
  }
  /// The ordinal in the truth of what a log holds at its `ordinal`, or will.
  [[nodiscard]] std::size_t truth_ordinal(std::size_t ordinal) const {
    return count_up_to(ordinal == 0 ? floor_ : delivered_[ordinal - 1].id);
  }
  [[nodiscard]] bool is_hole(EventId id) const;
  [[nodiscard]] bool any_hole() const { return any_hole_; }
  /// Of the frames delivered in [from, to).
  [[nodiscard]] std::uint64_t frame_bytes(std::size_t from, std::size_t to) const;
  /// The first event in [from, to) that a stream with these topics must get.
  [[nodiscard]] std::optional<std::size_t> first_for(TopicMask topics, std::size_t from,
                                                     std::size_t to) const;

 private:
  void make_data(Publication& publication, std::size_t room);
  void make_bad(Publication& publication, std::size_t body_bytes_max);

  World& world_;
  EventId floor_;
  std::deque<Publication> publications_;
  std::vector<TruthEvent> truth_;
  std::size_t trimmed_ = 0;

  std::vector<Delivered> delivered_;
  std::size_t next_delivery_ = 0;
  std::size_t certain_delivery_ = 0;  // after a hole without an end: what is below may be left out
  bool any_hole_ = false;
};

}  // namespace ringcast::sim
