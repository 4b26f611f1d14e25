#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ringcast::config {

/// A place in the file, both counted from 1.
struct Position {
  std::uint32_t line = 0;
  std::uint32_t column = 0;

  friend auto operator<=>(const Position&, const Position&) = default;
};

/// What is wrong with one file.
class Errors {
 public:
  explicit Errors(std::string_view file) : file_(file) {}

  /// `key` is the `section.key` that it is about, or empty.
  void add(Position position, std::string_view key, std::string_view reason);

  [[nodiscard]] bool empty() const { return errors_.empty(); }
  [[nodiscard]] bool mention(std::string_view key) const;

  /// `file:line:column: reason` for each, in the order of the file, as many as kErrorsMax.
  [[nodiscard]] std::string text() const;

 private:
  struct Entry {
    Position position;
    std::string key;
    std::string reason;
  };
  std::string file_;
  std::vector<Entry> errors_;
};

/// The candidate that somebody who wrote `word` most likely meant, or an empty text when none is
/// close: at most one edit for each three letters and three in all. An edit inserts, deletes or
/// replaces a letter or swaps two neighbours (optimal string alignment distance).
[[nodiscard]] std::string_view closest(std::string_view word,
                                       std::span<const std::string_view> candidates);

}  // namespace ringcast::config
