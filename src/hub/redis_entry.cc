#include "redis_entry.h"

#include <charconv>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "ringcast/base/assert.h"

#include "publication_fields.h"

namespace ringcast::hub {
namespace {

constexpr std::size_t kHexDigits = 16;  // of 64 bits

Error refuse(std::string_view field, std::string_view reason) {
  return Error{std::string(field) + ": " + std::string(reason)};
}

// All of `text`, lower or upper case.
std::optional<std::uint64_t> parse_hex(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, failure] = std::from_chars(text.data(), end, value, 16);
  if (failure != std::errc{} || stopped != end) return std::nullopt;
  return value;
}

struct HexPair {
  std::uint64_t first;
  std::uint64_t second;
};
// `<16 digits>-<1 to 16 digits>`
std::optional<HexPair> parse_hex_pair(std::string_view text) {
  if (text.size() < kHexDigits + 2 || text.size() > 2 * kHexDigits + 1 || text[kHexDigits] != '-') {
    return std::nullopt;
  }
  const auto first = parse_hex(text.substr(0, kHexDigits));
  const auto second = parse_hex(text.substr(kHexDigits + 1));
  if (!first || !second) return std::nullopt;
  return HexPair{*first, *second};
}

std::string hex_pair(std::uint64_t first, std::uint64_t second) {
  return fmt::format("{:016x}-{:x}", first, second);
}

// The fields that an entry has, by name.
struct Values {
  std::optional<std::string_view> event, data, topic, retry, nonce, channel_number, sign_out;

  std::optional<std::string_view>* of(std::string_view name) {
    if (name == "data") return &data;
    if (name == "event") return &event;
    if (name == "topic") return &topic;
    if (name == "retry") return &retry;
    if (name == "n") return &nonce;
    if (name == "c") return &channel_number;
    if (name == "sign-out") return &sign_out;
    return nullptr;
  }
};

Result<RedisEntry> read_sign_out(const Values& values) {
  if (!values.topic) return refuse("topic", "is missing");
  const auto pair = parse_hex_pair(*values.sign_out);
  if (!pair) return refuse("sign-out", "must be a session and its expiry, both hexadecimal");
  RedisEntry entry;
  entry.kind = RedisEntry::Kind::sign_out;
  entry.publication.topic = *values.topic;
  entry.sign_out = {.session = pair->first, .expires_ms = pair->second};
  entry.nonce = values.nonce.value_or(std::string_view{});
  return entry;
}

}  // namespace

Result<RedisEntry> read_entry(std::span<const std::string_view> fields,
                              std::size_t event_bytes_max) {
  Values values;
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2) {
    auto* const value = values.of(fields[i]);
    if (value == nullptr) continue;
    if (value->has_value()) return refuse(fields[i], "given more than once");
    *value = fields[i + 1];
  }
  if (values.topic) {
    if (const auto fault = topic_fault(*values.topic); !fault.empty()) {
      return refuse("topic", fault);
    }
  }
  if (values.sign_out) return read_sign_out(values);

  if (!values.data) return refuse("data", "is missing");
  if (values.data->size() > event_bytes_max) {
    return refuse("data", fmt::format("longer than {} bytes", event_bytes_max));
  }
  if (!is_utf8(*values.data)) return refuse("data", "not valid UTF-8");
  RedisEntry entry;
  entry.publication.data = *values.data;
  entry.publication.topic = values.topic.value_or(std::string_view{});
  if (values.event) {
    if (const auto fault = event_fault(*values.event); !fault.empty()) {
      return refuse("event", fault);
    }
    if (!is_utf8(*values.event)) return refuse("event", "not valid UTF-8");
    entry.publication.event = *values.event;
  }
  if (values.retry) {
    const auto retry_ms = parse_retry(*values.retry);
    if (!retry_ms) return retry_ms.error();
    entry.publication.retry_ms = retry_ms.value();
  }
  entry.nonce = values.nonce.value_or(std::string_view{});
  entry.channel_number = values.channel_number.value_or(std::string_view{});
  return entry;
}

std::string_view find_field(std::span<const std::string_view> fields, std::string_view name) {
  for (std::size_t i = 0; i + 1 < fields.size(); i += 2) {
    if (fields[i] == name) return fields[i + 1];
  }
  return {};
}

void append_fields(const Publication& publication, std::array<char, 10>& retry_text,
                   std::vector<std::string_view>& out) {
  if (!publication.event.empty()) out.insert(out.end(), {"event", publication.event});
  out.insert(out.end(), {"data", publication.data});
  if (!publication.topic.empty()) out.insert(out.end(), {"topic", publication.topic});
  if (publication.retry_ms) {
    const auto [end, failure] = std::to_chars(
        retry_text.data(), retry_text.data() + retry_text.size(), *publication.retry_ms);
    RC_ASSERT(failure == std::errc{});  // ten digits hold 32 bits
    const std::string_view digits(retry_text.data(),
                                  static_cast<std::size_t>(end - retry_text.data()));
    out.insert(out.end(), {"retry", digits});
  }
}

std::string sign_out_text(const SignOut& what) {
  return hex_pair(what.session, what.expires_ms);
}

std::string signed_out_member(std::uint64_t session, std::string_view topic) {
  return fmt::format("{:016x} {}", session, topic);
}

std::optional<SignedOutMember> parse_signed_out_member(std::string_view member) {
  if (member.size() <= kHexDigits || member[kHexDigits] != ' ') return std::nullopt;
  const auto session = parse_hex(member.substr(0, kHexDigits));
  const auto topic = member.substr(kHexDigits + 1);
  if (!session || !topic_fault(topic).empty()) return std::nullopt;
  return SignedOutMember{*session, topic};
}

std::string to_string(const Nonce& nonce) {
  return hex_pair(nonce.instance, nonce.number);
}

std::optional<Nonce> parse_nonce(std::string_view text) {
  const auto pair = parse_hex_pair(text);
  if (!pair) return std::nullopt;
  return Nonce{pair->first, pair->second};
}

}  // namespace ringcast::hub
