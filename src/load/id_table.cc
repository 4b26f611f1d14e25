#include "load/id_table.h"

namespace ringcast::load {

IdTable::IdTable(std::uint32_t streams, std::string_view first) : places_(streams, 0) {
  entries_.push_back({.text = std::string{first}, .streams = streams});
  by_text_.emplace(entries_.front().text, 0);
}

void IdTable::set(std::uint32_t stream, std::string_view id) {
  const std::uint32_t before = places_[stream];
  if (entries_[before].text == id) return;
  const bool is_newest = entries_[newest_].streams > 0 && entries_[newest_].text == id;
  const std::uint32_t place = is_newest ? newest_ : find_or_add(id);
  ++entries_[place].streams;
  places_[stream] = place;
  newest_ = place;
  if (--entries_[before].streams > 0) return;
  by_text_.erase(entries_[before].text);
  free_.push_back(before);
}

std::uint32_t IdTable::find_or_add(std::string_view id) {
  if (const auto found = by_text_.find(id); found != by_text_.end()) return found->second;
  std::uint32_t place = 0;
  if (free_.empty()) {
    place = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    place = free_.back();
    free_.pop_back();
  }
  entries_[place].text.assign(id);
  by_text_.emplace(entries_[place].text, place);
  return place;
}

}  // namespace ringcast::load
