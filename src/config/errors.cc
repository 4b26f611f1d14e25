#include "errors.h"

#include <algorithm>

#include "ringcast/config/config.h"

namespace ringcast::config {
namespace {

constexpr std::size_t kWordBytesMax = 64;  // longer than any key; bounds the square of the lengths

std::size_t edits(std::string_view a, std::string_view b) {
  // Three rows of the usual table: the one before the last is needed for swapped neighbours.
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> above(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replaced, above[j] + 1, row[j - 1] + 1});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

void Errors::add(Position position, std::string_view key, std::string_view reason) {
  errors_.push_back({position, std::string(key), std::string(reason)});
}

bool Errors::mention(std::string_view key) const {
  return std::ranges::any_of(errors_, [key](const Entry& error) { return error.key == key; });
}

std::string Errors::text() const {
  std::vector<const Entry*> sorted;
  sorted.reserve(errors_.size());
  for (const Entry& error : errors_) sorted.push_back(&error);
  std::ranges::stable_sort(sorted, {}, [](const Entry* error) { return error->position; });
  std::string out;
  for (std::size_t i = 0; i < std::min(sorted.size(), kErrorsMax); ++i) {
    const auto& [position, key, reason] = *sorted[i];
    if (i > 0) out += '\n';
    out += file_ + ":" + std::to_string(position.line) + ":" + std::to_string(position.column) +
           ": " + reason;
  }
  if (sorted.size() > kErrorsMax) {
    out += "\n" + file_ + ": and " + std::to_string(sorted.size() - kErrorsMax) + " more errors";
  }
  return out;
}

std::string_view closest(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.size() > kWordBytesMax) return {};
  std::size_t fewest = std::clamp<std::size_t>(word.size() / 3, 1, 3) + 1;
  std::string_view best;
  for (const std::string_view candidate : candidates) {
    const std::size_t needed = edits(word, candidate);
    if (needed < fewest) {
      fewest = needed;
      best = candidate;
    }
  }
  return best;
}

}  // namespace ringcast::config
