#include "value.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ringcast/admin/log.h"
#include "ringcast/hub/publication.h"

namespace ringcast::config {
namespace {

struct ByteUnit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr ByteUnit kByteUnits[] = {
    {"GiB", std::uint64_t{1} << 30}, {"MiB", std::uint64_t{1} << 20}, {"KiB", 1024}, {"B", 1}};

std::string quoted(std::string_view text) {
  return "\"" + admin::safe_text(text, 64) + "\"";
}

/// The digits and one of the units; false for anything else and for what needs more than 64 bits.
bool parse_bytes(std::string_view text, std::uint64_t& out) {
  const char* const end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, out);
  if (failure != std::errc{}) return false;
  const std::string_view unit(stopped, static_cast<std::size_t>(end - stopped));
  const auto found = std::ranges::find(kByteUnits, unit, &ByteUnit::name);
  if (found == std::end(kByteUnits) || out > ~std::uint64_t{0} / found->bytes) return false;
  out *= found->bytes;
  return true;
}

std::string range_text(std::string_view smallest, std::string_view largest, std::string_view note) {
  std::string out = "must be " + std::string(smallest) + " to " + std::string(largest);
  if (!note.empty()) out += " (" + std::string(note) + ")";
  return out;
}

}  // namespace

Position to_position(const toml::source_region& region) {
  return {region.begin.line, region.begin.column};
}

std::string_view type_name(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::none:
      return "nothing";
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "an integer";
    case toml::node_type::floating_point:
      return "a float";
    case toml::node_type::boolean:
      return "a boolean";
    case toml::node_type::date:
      return "a date";
    case toml::node_type::time:
      return "a time";
    case toml::node_type::date_time:
      return "a date and time";
  }
  return "something else";
}

void Value::fail(const toml::node& node, std::string_view reason) const {
  errors_.add(to_position(node.source()), key_, key_ + ": " + std::string(reason));
}

void Value::expected(const toml::node& node, std::string_view type) const {
  fail(node, "expected " + std::string(type) + ", found " + std::string(type_name(node)));
}

void Value::read(bool& out) const {
  if (const auto* const boolean = node_.as_boolean()) {
    out = boolean->get();
  } else {
    expected(node_, "a boolean");
  }
}

bool Value::integer_within(std::uint64_t& out, std::uint64_t smallest, std::uint64_t largest,
                           std::string_view note) const {
  const auto* const integer = node_.as_integer();
  if (integer == nullptr) {
    expected(node_, "an integer");
    return false;
  }
  const std::int64_t value = integer->get();
  if (value < 0 || static_cast<std::uint64_t>(value) < smallest ||
      static_cast<std::uint64_t>(value) > largest) {
    fail(range_text(std::to_string(smallest), std::to_string(largest), note) + ", not " +
         std::to_string(value));
    return false;
  }
  out = static_cast<std::uint64_t>(value);
  return true;
}

void Value::read(std::uint32_t& out, std::uint32_t smallest, std::uint32_t largest,
                 std::string_view note) const {
  std::uint64_t value = 0;
  if (integer_within(value, smallest, largest, note)) out = static_cast<std::uint32_t>(value);
}

void Value::read_count(std::size_t& out, std::uint64_t smallest, std::uint64_t largest) const {
  std::uint64_t value = 0;
  if (integer_within(value, smallest, largest, {})) out = value;
}

bool Value::bytes_within(std::uint64_t& out, std::uint64_t smallest, std::uint64_t largest) const {
  std::string given;
  if (const auto* const integer = node_.as_integer()) {
    given = std::to_string(integer->get());
    out = integer->get() < 0 ? 0 : static_cast<std::uint64_t>(integer->get());
  } else if (const auto* const string = node_.as_string()) {
    given = quoted(string->get());
    if (!parse_bytes(string->get(), out)) {
      fail("must be a number of bytes, as 65536, \"64KiB\", \"16MiB\" or \"1GiB\", not " + given);
      return false;
    }
  } else {
    expected(node_, "an integer or a string with a unit");
    return false;
  }
  if (out < smallest || out > largest) {
    fail(range_text(bytes_text(smallest), bytes_text(largest), "bytes") + ", not " + given);
    return false;
  }
  return true;
}

std::optional<double> Value::milliseconds() const {
  if (const auto* const integer = node_.as_integer()) {
    return static_cast<double>(integer->get()) * 1000;
  }
  if (const auto* const number = node_.as_floating_point()) {
    return std::round(number->get() * 1000);
  }
  expected(node_, "an integer or a float");
  return {};
}

void Value::read_seconds_or_off(std::uint32_t& out_ms, std::uint32_t smallest_ms,
                                std::uint32_t largest_ms) const {
  const auto ms = milliseconds();
  if (!ms) return;
  // Compared before the conversion: one of NaN, infinity or a huge number would have no result.
  const bool off =
      *ms == 0 && !(node_.is_floating_point() && node_.as_floating_point()->get() != 0);
  if (!off && !(*ms >= smallest_ms && *ms <= largest_ms)) {
    return fail("must be 0 (off) or " + seconds_text(smallest_ms) + " to " +
                seconds_text(largest_ms) + " seconds");
  }
  out_ms = static_cast<std::uint32_t>(*ms);
}

void Value::read_seconds(std::uint32_t& out_ms, std::uint32_t smallest_ms, std::uint32_t largest_ms,
                         std::string_view note) const {
  const auto ms = milliseconds();
  if (!ms) return;
  if (!(*ms >= smallest_ms && *ms <= largest_ms)) {
    return fail(range_text(seconds_text(smallest_ms), seconds_text(largest_ms) + " seconds", note));
  }
  out_ms = static_cast<std::uint32_t>(*ms);
}

const std::string* Value::text() const {
  if (const auto* const string = node_.as_string()) return &string->get();
  expected(node_, "a string");
  return nullptr;
}

void Value::read_path(std::string& out) const {
  const std::string* const path = text();
  if (path == nullptr) return;
  if (path->find('\0') != std::string::npos) return fail("must not contain NUL");
  out = *path;
}

void Value::read_event_name(std::string& out) const {
  const std::string* const name = text();
  if (name == nullptr) return;
  if (name->empty() || name->size() > hub::kEventNameBytesMax) {
    return fail("must be 1 to " + std::to_string(hub::kEventNameBytesMax) + " bytes long");
  }
  if (name->find_first_of(std::string_view("\r\n\0", 3)) != std::string::npos) {
    return fail("must not contain a line end or NUL");
  }
  out = *name;
}

bool Value::read_each(const Count& count,
                      const std::function<Result<void>(const std::string&)>& take) const {
  const auto* const array = node_.as_array();
  if (array == nullptr) {
    expected(node_, "an array of strings");
    return false;
  }
  if (array->size() < count.least || array->size() > count.most) {
    fail("must hold " + (count.least == 0 ? "at most " : std::to_string(count.least) + " to ") +
         std::to_string(count.most) + " " + std::string(count.noun) + ", not " +
         std::to_string(array->size()));
    return false;
  }
  bool good = true;
  for (const toml::node& node : *array) {
    const auto* const string = node.as_string();
    if (string == nullptr) {
      expected(node, "a string");
      good = false;
    } else if (const Result<void> taken = take(string->get()); !taken) {
      fail(node, taken.error().message);
      good = false;
    }
  }
  return good;
}

bool Value::read_one_or_each(const Count& count,
                             const std::function<Result<void>(const std::string&)>& take) const {
  if (const auto* const string = node_.as_string()) {
    const Result<void> taken = take(string->get());
    if (!taken) fail(taken.error().message);
    return taken.ok();
  }
  if (node_.is_array()) return read_each(count, take);
  expected(node_, "a string or an array of strings");
  return false;
}

bool Value::is_empty_text() const {
  const auto* const string = node_.as_string();
  return string != nullptr && string->get().empty();
}

void Value::read(std::vector<ListenAddress>& out, std::size_t most) const {
  std::vector<ListenAddress> addresses;
  const auto take = [&addresses](const std::string& text) -> Result<void> {
    const auto address = parse_address(text);
    if (!address) return address.error();
    if (address.value().port != 0 && std::ranges::count(addresses, address.value()) > 0) {
      return Error{to_string(address.value()) + " is there twice"};
    }
    addresses.push_back(address.value());
    return {};
  };
  if (read_each({0, most, "addresses"}, take)) out = std::move(addresses);
}

void Value::read(std::optional<ListenAddress>& out) const {
  const std::string* const written = text();
  if (written == nullptr) return;
  if (written->empty()) {
    out.reset();
  } else if (const auto address = parse_address(*written)) {
    out = address.value();
  } else {
    fail(address.error().message + "; or \"\" for off");
  }
}

std::size_t Value::index_in(std::span<const std::string_view> names) const {
  const std::string* const written = text();
  if (written == nullptr) return names.size();
  const auto found = std::ranges::find(names, *written);
  if (found == names.end()) {
    std::string reason = "must be ";
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (i > 0) reason += i + 1 == names.size() ? " or " : ", ";
      reason += quoted(names[i]);
    }
    fail(reason + ", not " + quoted(*written));
  }
  return static_cast<std::size_t>(found - names.begin());
}

std::string bytes_text(std::uint64_t bytes) {
  const auto unit = std::ranges::find_if(kByteUnits, [bytes](const ByteUnit& candidate) {
    return bytes != 0 && bytes % candidate.bytes == 0;
  });
  if (bytes == 0 || unit->bytes == 1) return std::to_string(bytes);
  return "\"" + std::to_string(bytes / unit->bytes) + std::string(unit->name) + "\"";
}

std::string seconds_text(std::uint32_t milliseconds) {
  std::string out = std::to_string(milliseconds / 1000);
  if (milliseconds % 1000 == 0) return out;
  const std::string rest = std::to_string(milliseconds % 1000);
  out += '.' + std::string(3 - rest.size(), '0') + rest;
  out.erase(out.find_last_not_of('0') + 1);
  return out;
}

std::string string_text(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace ringcast::config
