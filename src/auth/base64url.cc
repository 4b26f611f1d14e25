#include "base64url.h"

#include <array>
#include <cstdint>

#include "ringcast/base/assert.h"

namespace ringcast::auth {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint32_t kNoDigit = 0xff;

constexpr std::array<std::uint8_t, 256> make_values() {
  std::array<std::uint8_t, 256> values{};
  for (auto& value : values) value = kNoDigit;
  for (std::size_t i = 0; i < kDigits.size(); ++i) {
    values[static_cast<unsigned char>(kDigits[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}
constexpr std::array<std::uint8_t, 256> kValues = make_values();

std::uint32_t value_of(char digit) {
  return kValues[static_cast<unsigned char>(digit)];
}

constexpr unsigned char low_byte(std::uint32_t bits) {
  return static_cast<unsigned char>(bits & 0xff);
}

}  // namespace

std::optional<std::size_t> decode_base64url(std::string_view text, std::span<unsigned char> out) {
  RC_ASSERT(out.size() >= base64url_bytes(text.size()));
  // What is no digit sets a bit that no digit has.
  std::uint32_t seen = 0;
  std::size_t at = 0;
  while (text.size() >= 4) {
    const std::uint32_t a = value_of(text[0]);
    const std::uint32_t b = value_of(text[1]);
    const std::uint32_t c = value_of(text[2]);
    const std::uint32_t d = value_of(text[3]);
    seen |= a | b | c | d;
    const std::uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    out[at] = low_byte(bits >> 16);
    out[at + 1] = low_byte(bits >> 8);
    out[at + 2] = low_byte(bits);
    at += 3;
    text.remove_prefix(4);
  }
  std::uint32_t unused = 0;
  if (text.size() == 1) return std::nullopt;
  if (text.size() >= 2) {
    const std::uint32_t a = value_of(text[0]);
    const std::uint32_t b = value_of(text[1]);
    const std::uint32_t c = text.size() == 3 ? value_of(text[2]) : 0;
    seen |= a | b | c;
    const std::uint32_t bits = a << 12 | b << 6 | c;
    out[at++] = low_byte(bits >> 10);
    if (text.size() == 3) {
      out[at++] = low_byte(bits >> 2);
      unused = c & 0x3;
    } else {
      unused = b & 0xf;
    }
  }
  if ((seen & 0xc0) != 0 || unused != 0) return std::nullopt;
  return at;
}

void append_base64url(std::string& out, std::span<const unsigned char> bytes) {
  const auto digit = [&](std::uint32_t bits) { out += kDigits[bits & 0x3f]; };
  while (bytes.size() >= 3) {
    const std::uint32_t bits = static_cast<std::uint32_t>(bytes[0]) << 16 |
                               static_cast<std::uint32_t>(bytes[1]) << 8 | bytes[2];
    digit(bits >> 18);
    digit(bits >> 12);
    digit(bits >> 6);
    digit(bits);
    bytes = bytes.subspan(3);
  }
  if (bytes.empty()) return;
  const std::uint32_t second = bytes.size() == 2 ? bytes[1] : 0;
  const std::uint32_t bits = static_cast<std::uint32_t>(bytes[0]) << 10 | second << 2;
  digit(bits >> 12);
  digit(bits >> 6);
  if (bytes.size() == 2) digit(bits);
}

void append_base64url(std::string& out, std::string_view bytes) {
  append_base64url(out,
                   std::span(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()));
}

}  // namespace ringcast::auth
