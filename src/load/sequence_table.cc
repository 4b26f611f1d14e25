#include "load/sequence_table.h"

#include <algorithm>
#include <iterator>

namespace ringcast::load {

SequenceTable::Arrival SequenceTable::arrive_unexpectedly(std::size_t place, std::uint32_t& due,
                                                          std::uint32_t index) {
  if (index > due) {
    holes_[place].emplace(due, index);
    due = index + 1;
    return Arrival::ahead;
  }
  const auto found = holes_.find(place);
  if (found == holes_.end()) return Arrival::duplicate;
  Holes& holes = found->second;
  const auto after = holes.upper_bound(index);
  if (after == holes.begin()) return Arrival::duplicate;
  const auto hole = std::prev(after);
  const auto [first, end] = *hole;
  if (index >= end) return Arrival::duplicate;
  holes.erase(hole);
  if (first < index) holes.emplace(first, index);
  if (index + 1 < end) holes.emplace(index + 1, end);
  return Arrival::late;
}

std::uint64_t SequenceTable::missing(std::uint32_t stream, std::uint32_t lane,
                                     std::uint32_t published) const {
  const std::uint32_t due = due_[place(stream, lane)];
  std::uint64_t count = published > due ? published - due : 0;
  const auto found = holes_.find(place(stream, lane));
  if (found == holes_.end()) return count;
  for (const auto& [first, end] : found->second) {
    if (first < published) count += std::min(end, published) - first;
  }
  return count;
}

}  // namespace ringcast::load
