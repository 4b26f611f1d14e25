#include "load/payload.h"

#include <algorithm>
#include <array>
#include <utility>

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

std::optional<Stamp> find_stamp(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size() && at < kStampSoughtBytes) {
    if (auto stamp = decode_data(text.substr(at))) return stamp;
    at = text.find('@', at + 1);
  }
  return std::nullopt;
}

Result<BodyTemplate> BodyTemplate::parse(std::string_view text) {
  using Kind = Piece::Kind;
  constexpr std::array<std::pair<std::string_view, Kind>, 3> kPlaces{
      {{"{data}", Kind::data}, {"{json_data}", Kind::data}, {"{topic}", Kind::topic}}};
  BodyTemplate out;
  bool has_data = false;
  std::string literal;
  const auto end_literal = [&] {
    if (!literal.empty()) out.pieces_.push_back({.kind = Kind::text, .text = literal});
    literal.clear();
  };
  while (!text.empty()) {
    const auto* const place =
        std::find_if(kPlaces.begin(), kPlaces.end(),
                     [text](const auto& each) { return text.starts_with(each.first); });
    if (place == kPlaces.end()) {
      literal += text.front();
      text.remove_prefix(1);
      continue;
    }
    end_literal();
    has_data = has_data || place->second == Kind::data;
    out.pieces_.push_back({.kind = place->second, .text = {}});
    text.remove_prefix(place->first.size());
  }
  end_literal();
  if (!has_data) return Error{"neither {data} nor {json_data} is in it"};
  return out;
}

std::string BodyTemplate::fill(std::string_view data, std::string_view topic) const {
  std::string out;
  for (const Piece& piece : pieces_) {
    switch (piece.kind) {
      case Piece::Kind::text:
        out += piece.text;
        break;
      case Piece::Kind::data:
        out += data;
        break;
      case Piece::Kind::topic:
        out += topic;
        break;
    }
  }
  return out;
}

}  // namespace ringcast::load
