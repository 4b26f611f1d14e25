#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ringcast/base/result.h"
#include "ringcast/config/address.h"

#include "errors.h"
#include "toml.h"

namespace ringcast::config {

[[nodiscard]] Position to_position(const toml::source_region& region);

/// `an integer`, `a string`, …
[[nodiscard]] std::string_view type_name(const toml::node& node);

template <class Enum>
struct Choice {
  std::string_view name;
  Enum value;
};

/// The value of one key. Each `read` either fits, and is stored, or leaves what is there and adds
/// an error that says what is allowed.
class Value {
 public:
  Value(std::string key, const toml::node& node, Errors& errors)
      : key_(std::move(key)), node_(node), errors_(errors) {}

  void read(bool& out) const;
  /// `note` says what a special value means: `0 = off`.
  void read(std::uint32_t& out, std::uint32_t smallest, std::uint32_t largest,
            std::string_view note = {}) const;
  /// An integer, or a string with a unit: 65536, "64KiB".
  template <class Integer>
  void read_bytes(Integer& out, std::uint64_t smallest, std::uint64_t largest) const {
    std::uint64_t bytes = 0;
    if (bytes_within(bytes, smallest, largest)) out = static_cast<Integer>(bytes);
  }
  void read_count(std::size_t& out, std::uint64_t smallest, std::uint64_t largest) const;
  /// An integer or a float of seconds, kept in milliseconds; 0 is allowed besides the range.
  void read_seconds_or_off(std::uint32_t& out_ms, std::uint32_t smallest_ms,
                           std::uint32_t largest_ms) const;
  /// The same without that.
  void read_seconds(std::uint32_t& out_ms, std::uint32_t smallest_ms, std::uint32_t largest_ms,
                    std::string_view note = {}) const;
  /// Any text but one with NUL, which no path can hold.
  void read_path(std::string& out) const;
  /// What can be the `event` field of a frame.
  void read_event_name(std::string& out) const;
  /// None twice; may be empty.
  void read(std::vector<ListenAddress>& out, std::size_t most) const;
  /// "" is nothing.
  void read(std::optional<ListenAddress>& out) const;

  /// How many elements an array may have, and what they are: `addresses`.
  struct Count {
    std::size_t least;
    std::size_t most;
    std::string_view noun;
  };
  /// For an array of strings: each of them to `take`, whose error is reported where that string
  /// stands. Whether all is well.
  [[nodiscard]] bool read_each(const Count& count,
                               const std::function<Result<void>(const std::string&)>& take) const;
  /// The same, but a string alone is taken, too.
  [[nodiscard]] bool read_one_or_each(
      const Count& count, const std::function<Result<void>(const std::string&)>& take) const;
  [[nodiscard]] bool is_empty_text() const;

  /// The string, or null and an error.
  [[nodiscard]] const std::string* text() const;
  void fail(std::string_view reason) const { fail(node_, reason); }

  template <class Enum, std::size_t kCount>
  void read(Enum& out, const Choice<Enum> (&choices)[kCount]) const {
    std::string_view names[kCount];
    for (std::size_t i = 0; i < kCount; ++i) names[i] = choices[i].name;
    const std::size_t index = index_in(names);
    if (index < kCount) out = choices[index].value;
  }

 private:
  void fail(const toml::node& node, std::string_view reason) const;
  void expected(const toml::node& node, std::string_view type) const;
  [[nodiscard]] bool integer_within(std::uint64_t& out, std::uint64_t smallest,
                                    std::uint64_t largest, std::string_view note) const;
  [[nodiscard]] bool bytes_within(std::uint64_t& out, std::uint64_t smallest,
                                  std::uint64_t largest) const;
  /// Rounded to the millisecond; nothing and an error when it is no number.
  [[nodiscard]] std::optional<double> milliseconds() const;
  [[nodiscard]] std::size_t index_in(std::span<const std::string_view> names) const;

  std::string key_;
  const toml::node& node_;
  Errors& errors_;
};

/// How values are written, so that the matching `read` gives them again.
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);           ///< `"16MiB"`, or `1000`
[[nodiscard]] std::string seconds_text(std::uint32_t milliseconds);  ///< `15`, or `0.25`
[[nodiscard]] std::string string_text(std::string_view text);        ///< a basic string of TOML

}  // namespace ringcast::config
