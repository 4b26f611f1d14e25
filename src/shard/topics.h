#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "ringcast/sse/broadcast_log.h"
#include "ringcast/uring/operation.h"

namespace ringcast::shard {

/// A topic that the log holds an event of, or that a stream asked for.
struct Topic {
  std::string name;
  std::uint64_t hash = 0;
  sse::Ordinal newest = sse::kNoOrdinal;          ///< the last event of the topic, kept or not
  sse::Ordinal newest_evicted = sse::kNoOrdinal;  ///< what a cursor at or below it has missed
  std::uint32_t log_events = 0;                   ///< kept ones
  std::uint32_t sets = 0;                         ///< topic sets that contain it

  /// Streams, as they joined. One that left stays until a pass or `compact` meets it: its handle is
  /// no longer current. The public room has none: its members are all streams of the table.
  std::vector<uring::Handle> members;
  std::uint32_t members_left = 0;

  /// Of the pump: see pump.h.
  sse::Ordinal pass_head = 0;
  std::uint32_t pass_position = 0;
  std::uint32_t round = 0;
  bool queued = false;
};

/// The topics of a shard by name. An ID is valid while the log or a set refers to it; so their
/// number is bounded by the kept events and the topics that streams ask for. Allocates at a topic's
/// first sight only. Single-threaded.
class TopicTable {
 public:
  TopicTable();

  [[nodiscard]] Topic& operator[](sse::TopicId id) {
    return topics_[static_cast<std::uint32_t>(id)];
  }
  [[nodiscard]] const Topic& operator[](sse::TopicId id) const {
    return topics_[static_cast<std::uint32_t>(id)];
  }
  [[nodiscard]] std::size_t size() const { return topics_.size() - free_.size(); }

  /// `hash` is XXH3 of the name. The empty name is the public room.
  [[nodiscard]] sse::TopicId intern(std::string_view name, std::uint64_t hash);
  [[nodiscard]] std::optional<sse::TopicId> find(std::string_view name, std::uint64_t hash) const;
  /// Frees the topic if nothing refers to it any more.
  void release_unused(sse::TopicId id);

 private:
  std::vector<Topic> topics_;
  std::vector<sse::TopicId> free_;
  std::unordered_multimap<std::uint64_t, sse::TopicId> by_hash_;
};

[[nodiscard]] std::uint64_t topic_hash(std::string_view name);

/// Sets of topics, each kept once however many streams have it. Set 0 is the public room alone and
/// is never freed. A set always contains the public room, first; the others are sorted.
/// Single-threaded.
class TopicSets {
 public:
  explicit TopicSets(TopicTable& topics);

  /// One reference more. `topics` may be in any order and repeat. Allocates for a new set.
  [[nodiscard]] std::uint32_t intern(std::vector<sse::TopicId> topics);
  void release(std::uint32_t set);
  [[nodiscard]] std::span<const sse::TopicId> topics(std::uint32_t set) const {
    return sets_[set].topics;
  }

 private:
  struct Set {
    std::vector<sse::TopicId> topics;
    std::uint32_t streams = 0;
    std::uint64_t hash = 0;
  };

  TopicTable& topics_;
  std::vector<Set> sets_;
  std::vector<std::uint32_t> free_;
  std::unordered_multimap<std::uint64_t, std::uint32_t> by_hash_;
};

}  // namespace ringcast::shard
