#pragma once

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
  bool sequenced = false;
};

/// The truth: every event in the order of its ID, as the hub gave it to the shards.
struct TruthEvent {
  EventId id;
  const Publication* publication;
  std::uint64_t bytes_before;  ///< of the frames of all earlier events
  std::uint32_t frame_bytes;
};

/// Who must have received what. Filled from a reader of its own at the hub's ring of events, which
/// sees each event before any shard can.
class Model {
 public:
  Model(World& world, EventId floor) : world_(world), floor_(floor) {}

  /// Makes up a publication whose body is at most `body_bytes_max`, or a bad one.
  [[nodiscard]] Publication& invent(std::size_t body_bytes_max);
  void on_event(std::span<const std::byte> record);
  void on_answer(Publication& publication, int status, std::string_view event_id);
  /// What must hold in the end.
  void check_publications();

  [[nodiscard]] const std::vector<TruthEvent>& truth() const { return truth_; }
  [[nodiscard]] EventId floor() const { return floor_; }
  /// How many events have an ID up to `id`.
  [[nodiscard]] std::size_t count_up_to(EventId id) const;
  /// The ordinal of the event with this ID.
  [[nodiscard]] std::optional<std::size_t> find(EventId id) const;
  /// The ID of the newest event before an ordinal.
  [[nodiscard]] EventId before(std::size_t ordinal) const {
    return ordinal == 0 ? floor_ : truth_[ordinal - 1].id;
  }
  /// Of the frames of the events in [from, to).
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
};

}  // namespace ringcast::sim
