#include "load/payload.h"

#include <algorithm>
#include <array>

namespace ringcast::load {
namespace {

constexpr std::string_view kDigits = "0123456789abcdef";

constexpr std::string_view kBodyFront = R"({"data":")";

constexpr std::uint8_t kNoDigit = 0x80;

constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  for (auto& value : values) value = kNoDigit;
  for (std::size_t digit = 0; digit < kDigits.size(); ++digit) {
    values[static_cast<unsigned char>(kDigits[digit])] = static_cast<std::uint8_t>(digit);
  }
  return values;
}

constexpr std::array<std::uint8_t, 256> kValues = make_values();

void put(std::string& out, std::uint64_t value, unsigned digits) {
  while (digits-- > 0) out += kDigits[(value >> (4 * digits)) & 15];
}

/// Reads `digits` digits; `bad` gets kNoDigit when one is none.
std::uint64_t take(const char*& at, unsigned digits, unsigned& bad) {
  std::uint64_t value = 0;
  while (digits-- > 0) {
    const unsigned digit = kValues[static_cast<unsigned char>(*at++)];
    bad |= digit;
    value = value << 4 | (digit & 15);
  }
  return value;
}

}  // namespace

std::string encode_data(const Stamp& stamp, std::size_t frame_bytes) {
  const std::size_t bytes =
      std::max(frame_bytes, kFrameOverheadBytes + kStampBytes) - kFrameOverheadBytes;
  std::string out;
  out.reserve(bytes);
  out += '@';
  put(out, stamp.run, 4);
  put(out, stamp.lane, 4);
  put(out, stamp.sequence, 8);
  put(out, stamp.sent_ns, 16);
  out.append(bytes - out.size(), 'x');
  return out;
}

std::optional<Stamp> decode_data(std::string_view data) {
  if (data.size() < kStampBytes || data.front() != '@') return std::nullopt;
  const char* at = data.data() + 1;
  unsigned bad = 0;
  Stamp stamp;
  stamp.run = static_cast<std::uint16_t>(take(at, 4, bad));
  stamp.lane = static_cast<std::uint16_t>(take(at, 4, bad));
  stamp.sequence = static_cast<std::uint32_t>(take(at, 8, bad));
  stamp.sent_ns = take(at, 16, bad);
  if ((bad & kNoDigit) != 0) return std::nullopt;
  return stamp;
}

std::string encode_body(const Stamp& stamp, std::size_t frame_bytes, std::string_view topic) {
  std::string out{kBodyFront};
  out += encode_data(stamp, frame_bytes);
  out += '"';
  if (!topic.empty()) {
    out += R"(,"topic":")";
    out += topic;
    out += '"';
  }
  out += '}';
  return out;
}

std::optional<Stamp> decode_body(std::string_view body) {
  if (!body.starts_with(kBodyFront)) return std::nullopt;
  return decode_data(body.substr(kBodyFront.size()));
}

}  // namespace ringcast::load
