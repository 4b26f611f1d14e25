#include "ringcast/hub/publication.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>

#include <simdjson.h>

#include "publication_fields.h"

namespace ringcast::hub {
namespace {

namespace json = simdjson::ondemand;

constexpr std::size_t kNestingMax = 64;        // objects and arrays inside `data`
constexpr std::size_t kNamedBytesMax = 64;     // of a field name that is repeated to the publisher
constexpr std::size_t kBufferBytesMin = 4096;  // larger messages make the buffers grow, once

constexpr std::string_view kNotJson = "body: not valid JSON";
constexpr std::string_view kNotUnicode = "not valid Unicode";

Error refuse(std::string_view message) {
  return Error{std::string(message)};
}
Error refuse(std::string_view field, std::string_view reason) {
  return Error{std::string(field) + ": " + std::string(reason)};
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Bytes of the control character that `text` begins with: C0, DEL, or C1 (two bytes); 0 for none.
std::size_t control_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x20 || byte(0) == 0x7f) return 1;
  return byte(0) == 0xc2 && text.size() > 1 && byte(1) < 0xa0 ? 2 : 0;
}

// A field name of the publisher's, fit to be shown: short, whole characters, no control characters.
std::string shown(std::string_view name) {
  if (name.empty()) return "(empty name)";
  if (name.size() > kNamedBytesMax) {
    std::size_t cut = kNamedBytesMax;
    while (cut > 0 && (static_cast<unsigned char>(name[cut]) & 0xc0) == 0x80) --cut;
    name = name.substr(0, cut);
  }
  std::string text;
  while (!name.empty()) {
    const std::size_t control = control_bytes(name);
    text += control != 0 ? '?' : name.front();
    name.remove_prefix(std::max<std::size_t>(control, 1));
  }
  return text;
}

// RFC 8259 section 6. The parser that converts numbers would refuse those that fit into no machine
// type.
bool is_number(std::string_view text) {
  const auto skip_digits = [&] {
    const std::size_t before = text.size();
    while (!text.empty() && is_digit(text.front())) text.remove_prefix(1);
    return text.size() != before;
  };
  const auto skip = [&](std::string_view any_of) {
    if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
  };
  skip("-");
  if (!skip("0") && !skip_digits()) return false;
  if (skip(".") && !skip_digits()) return false;
  if (skip("eE")) {
    skip("+-");
    if (!skip_digits()) return false;
  }
  return text.empty();
}

// A token reaches up to the next one, white space included.
std::string_view trimmed(std::string_view token) {
  const std::size_t last = token.find_last_not_of(" \t\r\n");
  return token.substr(0, last + 1);
}

// RFC 8259 section 7. `token` begins at the opening quote, and the closing one is known to exist.
bool escapes_are_legal(std::string_view token) {
  for (std::size_t i = 1; i < token.size() && token[i] != '"'; ++i) {
    if (token[i] != '\\') continue;
    if (++i == token.size()) return false;
    if (std::string_view("\"\\/bfnrt").find(token[i]) != std::string_view::npos) continue;
    if (token[i] != 'u' || token.size() - i < 5) return false;
    const std::string_view digits = token.substr(i + 1, 4);
    if (digits.find_first_not_of("0123456789abcdefABCDEF") != std::string_view::npos) return false;
    i += 4;
  }
  return true;
}

enum class Fault : std::uint8_t { none, not_json, not_unicode, too_deep };

// The text of a JSON string, without its escapes. Each string is read once only: the parser's
// buffer for what it returns is measured for that.
Fault read_string(json::value value, std::string_view& text) {
  const std::string_view token = value.raw_json_token();
  if (value.get_string().get(text) != simdjson::SUCCESS) {
    return escapes_are_legal(token) ? Fault::not_unicode : Fault::not_json;
  }
  // The document is UTF-8, but an escape can still name half of a surrogate pair.
  return simdjson::validate_utf8(text.data(), text.size()) ? Fault::none : Fault::not_unicode;
}

Fault read_key(json::field& field, std::string_view& name) {
  // The key's raw text ends somewhere before the colon; escapes_are_legal stops at its closing
  // quote.
  const char* const after_quote = field.key().raw();
  if (field.unescaped_key().get(name) != simdjson::SUCCESS) {
    const char* const colon = after_quote + std::strlen(after_quote);
    return escapes_are_legal({after_quote - 1, static_cast<std::size_t>(colon - after_quote) + 1})
               ? Fault::not_unicode
               : Fault::not_json;
  }
  return simdjson::validate_utf8(name.data(), name.size()) ? Fault::none : Fault::not_unicode;
}

// Reads all of a value, since the parser itself checks only what is asked for.
Fault check_value(json::value value, std::size_t nesting);

Fault check_array(json::value value, std::size_t nesting) {
  json::array array;
  if (value.get_array().get(array) != simdjson::SUCCESS) return Fault::not_json;
  for (auto item : array) {
    json::value element;
    if (item.get(element) != simdjson::SUCCESS) return Fault::not_json;
    if (const Fault fault = check_value(element, nesting + 1); fault != Fault::none) return fault;
  }
  return Fault::none;
}

Fault check_object(json::value value, std::size_t nesting) {
  json::object object;
  if (value.get_object().get(object) != simdjson::SUCCESS) return Fault::not_json;
  for (auto item : object) {
    json::field field;
    if (std::move(item).get(field) != simdjson::SUCCESS) return Fault::not_json;
    std::string_view name;
    if (const Fault fault = read_key(field, name); fault != Fault::none) return fault;
    if (const Fault fault = check_value(field.value(), nesting + 1); fault != Fault::none)
      return fault;
  }
  return Fault::none;
}

Fault check_value(json::value value, std::size_t nesting) {
  if (nesting > kNestingMax) return Fault::too_deep;
  json::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return Fault::not_json;
  switch (type) {
    case json::json_type::array:
      return check_array(value, nesting);
    case json::json_type::object:
      return check_object(value, nesting);
    case json::json_type::string: {
      std::string_view text;
      return read_string(value, text);
    }
    case json::json_type::number:
      // Stays where it is: the loop around steps over what was not read.
      return is_number(trimmed(value.raw_json_token())) ? Fault::none : Fault::not_json;
    case json::json_type::boolean:
      return value.get_bool().error() == simdjson::SUCCESS ? Fault::none : Fault::not_json;
    case json::json_type::null: {
      bool is_null = false;
      return value.is_null().get(is_null) == simdjson::SUCCESS && is_null ? Fault::none
                                                                          : Fault::not_json;
    }
  }
  return Fault::not_json;
}

Error describe(std::string_view field, Fault fault) {
  switch (fault) {
    case Fault::not_unicode:
      return refuse(field, kNotUnicode);
    case Fault::too_deep:
      return refuse("body: nested too deeply");
    case Fault::not_json:
    case Fault::none:
      break;
  }
  return refuse(kNotJson);
}

Result<std::string_view> read_text(std::string_view field, json::value value) {
  json::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return refuse(kNotJson);
  if (type != json::json_type::string) return refuse(field, "must be a string");
  std::string_view text;
  if (const Fault fault = read_string(value, text); fault != Fault::none)
    return describe(field, fault);
  return text;
}

Result<std::uint32_t> read_retry(json::value value) {
  const std::string_view token = trimmed(value.raw_json_token());
  if (!is_number(token)) {
    json::json_type type{};
    if (value.type().get(type) != simdjson::SUCCESS || type == json::json_type::number) {
      return refuse(kNotJson);
    }
  }
  return parse_retry(token);
}

}  // namespace

struct PublicationParser::Impl {
  json::parser parser;
  json::document document;
  std::size_t capacity = 0;
  std::unique_ptr<char[]> input;     // the message, with the padding that the parser reads
  std::unique_ptr<char[]> minified;  // `data` that is an array or an object

  // False when there is no memory.
  bool reserve(std::size_t bytes) {
    if (bytes <= capacity) return true;
    const std::size_t wanted = std::bit_ceil(std::max(bytes, kBufferBytesMin));
    if (parser.allocate(wanted) != simdjson::SUCCESS) return false;
    input = std::make_unique_for_overwrite<char[]>(wanted + simdjson::SIMDJSON_PADDING);
    minified = std::make_unique_for_overwrite<char[]>(wanted + simdjson::SIMDJSON_PADDING);
    capacity = wanted;
    return true;
  }

  Result<std::string_view> read_data(json::value value);
  Result<Publication> read_fields();
};

Result<std::string_view> PublicationParser::Impl::read_data(json::value value) {
  json::json_type type{};
  if (value.type().get(type) != simdjson::SUCCESS) return refuse(kNotJson);
  if (type == json::json_type::string) return read_text("data", value);

  const std::string_view token = trimmed(value.raw_json_token());
  if (const Fault fault = check_value(value, 0); fault != Fault::none)
    return describe("data", fault);
  if (type != json::json_type::array && type != json::json_type::object) return token;

  // All of it was read, so the document stands on the token that follows.
  const char* after = nullptr;
  if (document.current_location().get(after) != simdjson::SUCCESS) return refuse(kNotJson);
  std::size_t bytes = 0;
  if (simdjson::minify(token.data(), static_cast<std::size_t>(after - token.data()), minified.get(),
                       bytes) != simdjson::SUCCESS) {
    return refuse(kNotJson);
  }
  return std::string_view(minified.get(), bytes);
}

Result<Publication> PublicationParser::Impl::read_fields() {
  json::object object;
  if (const auto error = document.get_object().get(object); error != simdjson::SUCCESS) {
    return refuse(error == simdjson::INCORRECT_TYPE ? "body: must be a JSON object" : kNotJson);
  }
  Publication publication;
  struct Seen {
    bool event = false, data = false, topic = false, retry = false;
  } seen;
  for (auto item : object) {
    json::field field;
    std::string_view name;
    if (std::move(item).get(field) != simdjson::SUCCESS) return refuse(kNotJson);
    if (const Fault fault = read_key(field, name); fault != Fault::none) {
      return fault == Fault::not_unicode ? refuse("body: a field's name is not valid Unicode")
                                         : refuse(kNotJson);
    }
    const auto repeated = [&](bool& was_seen) { return std::exchange(was_seen, true); };
    if (name == "data") {
      if (repeated(seen.data)) return refuse(name, "given more than once");
      const auto data = read_data(field.value());
      if (!data) return data.error();
      publication.data = data.value();
    } else if (name == "event") {
      if (repeated(seen.event)) return refuse(name, "given more than once");
      const auto event = read_text(name, field.value());
      if (!event) return event.error();
      if (const auto fault = event_fault(event.value()); !fault.empty()) return refuse(name, fault);
      publication.event = event.value();
    } else if (name == "topic") {
      if (repeated(seen.topic)) return refuse(name, "given more than once");
      const auto topic = read_text(name, field.value());
      if (!topic) return topic.error();
      if (const auto fault = topic_fault(topic.value()); !fault.empty()) return refuse(name, fault);
      publication.topic = topic.value();
    } else if (name == "retry") {
      if (repeated(seen.retry)) return refuse(name, "given more than once");
      const auto retry_ms = read_retry(field.value());
      if (!retry_ms) return retry_ms.error();
      publication.retry_ms = retry_ms.value();
    } else {
      return refuse(shown(name), "unknown field");
    }
  }
  // Something after the object's end would be the next token.
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return refuse(kNotJson);
  if (!seen.data) return refuse("data: is missing");
  return publication;
}

PublicationParser::PublicationParser() : impl_(std::make_unique<Impl>()) {
  impl_->reserve(kBufferBytesMin);
}
PublicationParser::PublicationParser(PublicationParser&&) noexcept = default;
PublicationParser::~PublicationParser() = default;

Result<Publication> PublicationParser::parse(std::string_view text) {
  if (text.empty()) return refuse("body: is empty");
  if (!impl_->reserve(text.size())) return refuse("body: too large");
  std::memcpy(impl_->input.get(), text.data(), text.size());
  std::memset(impl_->input.get() + text.size(), 0, simdjson::SIMDJSON_PADDING);
  const auto error =
      impl_->parser
          .iterate(impl_->input.get(), text.size(), impl_->capacity + simdjson::SIMDJSON_PADDING)
          .get(impl_->document);
  if (error != simdjson::SUCCESS) {
    return refuse(error == simdjson::UTF8_ERROR ? "body: not valid UTF-8" : kNotJson);
  }
  return impl_->read_fields();
}

static_assert(kEventNameBytesMax == 256 && kTopicBytesMax == 256, "the messages say so");

std::string_view event_fault(std::string_view name) {
  if (name.size() > kEventNameBytesMax) return "longer than 256 bytes";
  if (name.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) {
    return "must not contain a line end or NUL";
  }
  return {};
}

Result<std::uint32_t> parse_retry(std::string_view digits) {
  static_assert(kRetryMsMax == 86'400'000, "the message below says so");
  std::uint32_t retry_ms = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stopped, failure] = std::from_chars(digits.data(), end, retry_ms);
  if (failure != std::errc{} || stopped != end || retry_ms > kRetryMsMax) {
    return refuse("retry", "must be an integer from 0 to 86400000 (milliseconds)");
  }
  return retry_ms;
}

bool is_utf8(std::string_view text) {
  return text.empty() || simdjson::validate_utf8(text.data(), text.size());
}

std::string_view topic_fault(std::string_view name) {
  if (name.empty()) return "must not be empty";
  if (name.size() > kTopicBytesMax) return "longer than 256 bytes";
  if (!is_utf8(name)) return "not valid UTF-8";
  for (; !name.empty(); name.remove_prefix(1)) {
    if (control_bytes(name) != 0) return "must not contain control characters";
  }
  return {};
}

}  // namespace ringcast::hub
