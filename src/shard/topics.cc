#include "topics.h"

#include <algorithm>
#include <utility>

#include <xxhash.h>

#include "ringcast/base/assert.h"

namespace ringcast::shard {

std::uint64_t topic_hash(std::string_view name) {
  return XXH3_64bits(name.data(), name.size());
}

TopicTable::TopicTable() {
  topics_.emplace_back();
  topics_.front().sets = 1;  // the public room stays
}

sse::TopicId TopicTable::intern(std::string_view name, std::uint64_t hash) {
  if (name.empty()) return sse::kPublicTopic;
  if (const auto known = find(name, hash)) return *known;
  sse::TopicId id{static_cast<std::uint32_t>(topics_.size())};
  if (free_.empty()) {
    topics_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  Topic& topic = (*this)[id];
  topic.name = name;
  topic.hash = hash;
  by_hash_.emplace(hash, id);
  return id;
}

std::optional<sse::TopicId> TopicTable::find(std::string_view name, std::uint64_t hash) const {
  for (auto [at, end] = by_hash_.equal_range(hash); at != end; ++at) {
    if ((*this)[at->second].name == name) return at->second;
  }
  return std::nullopt;
}

void TopicTable::release_unused(sse::TopicId id) {
  Topic& topic = (*this)[id];
  // The pump holds the IDs of queued topics; it calls again when it takes one out.
  if (topic.log_events > 0 || topic.sets > 0 || topic.queued) return;
  auto [at, end] = by_hash_.equal_range(topic.hash);
  at = std::find_if(at, end, [id](const auto& entry) { return entry.second == id; });
  RC_ASSERT(at != end);
  by_hash_.erase(at);
  topic = Topic{};
  free_.push_back(id);
}

TopicSets::TopicSets(TopicTable& topics) : topics_(topics) {
  sets_.push_back({.topics = {sse::kPublicTopic}, .streams = 1});
}

std::uint32_t TopicSets::intern(std::vector<sse::TopicId> topics) {
  topics.push_back(sse::kPublicTopic);
  std::sort(topics.begin(), topics.end());
  topics.erase(std::unique(topics.begin(), topics.end()), topics.end());
  if (topics.size() == 1) {
    ++sets_.front().streams;
    return 0;
  }
  const std::uint64_t hash = XXH3_64bits(topics.data(), topics.size() * sizeof(sse::TopicId));
  for (auto [at, end] = by_hash_.equal_range(hash); at != end; ++at) {
    Set& set = sets_[at->second];
    if (set.topics != topics) continue;
    ++set.streams;
    return at->second;
  }
  auto id = static_cast<std::uint32_t>(sets_.size());
  if (free_.empty()) {
    sets_.emplace_back();
  } else {
    id = free_.back();
    free_.pop_back();
  }
  for (const sse::TopicId topic : topics) ++topics_[topic].sets;
  sets_[id] = Set{.topics = std::move(topics), .streams = 1, .hash = hash};
  by_hash_.emplace(hash, id);
  return id;
}

void TopicSets::release(std::uint32_t set_id) {
  Set& set = sets_[set_id];
  RC_ASSERT(set.streams > 0);
  if (--set.streams > 0) return;
  auto [at, end] = by_hash_.equal_range(set.hash);
  at = std::find_if(at, end, [set_id](const auto& entry) { return entry.second == set_id; });
  RC_ASSERT(at != end);
  by_hash_.erase(at);
  for (const sse::TopicId topic : set.topics) {
    --topics_[topic].sets;
    topics_.release_unused(topic);
  }
  set = Set{};
  free_.push_back(set_id);
}

}  // namespace ringcast::shard
