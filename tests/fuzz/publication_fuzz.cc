/// The reader of published messages on any bytes. What it accepts must be JSON to a parser that
/// reads whole documents too, must keep its bounds, and must survive being encoded for a stream.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <simdjson.h>

#include "ringcast/base/assert.h"
#include "ringcast/hub/publication.h"

namespace {

using namespace ringcast;

bool is_utf8(std::string_view text) {
  return simdjson::validate_utf8(text.data(), text.size());
}

void check_accepted(const hub::Publication& got, simdjson::error_code whole_document) {
  // The other parser refuses numbers that fit into no machine type, which are legal JSON.
  RC_ASSERT(whole_document == simdjson::SUCCESS || whole_document == simdjson::NUMBER_ERROR);
  RC_ASSERT(got.event.size() <= hub::kEventNameBytesMax);
  RC_ASSERT(got.event.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
  RC_ASSERT(got.topic.empty() || hub::topic_fault(got.topic).empty());
  RC_ASSERT(!got.retry_ms || *got.retry_ms <= hub::kRetryMsMax);
  RC_ASSERT(is_utf8(got.event) && is_utf8(got.data) && is_utf8(got.topic));
}

void check_refused(std::string_view message, simdjson::error_code whole_document) {
  RC_ASSERT(message.find(": ") != std::string_view::npos);
  RC_ASSERT(message.size() < 200);
  RC_ASSERT(is_utf8(message));
  for (const char c : message) RC_ASSERT(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  if (message == "body: not valid JSON" || message == "body: not valid UTF-8") {
    RC_ASSERT(whole_document != simdjson::SUCCESS);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // Kept, as in the hub: one message must not change how the next is read.
  static hub::PublicationParser parser;
  static simdjson::dom::parser whole;

  const std::string_view json(reinterpret_cast<const char*>(data), size);
  // Its copy may start at no null pointer, which is what libFuzzer gives for no bytes.
  const auto whole_document = whole.parse(size == 0 ? "" : json.data(), size).error();
  const auto result = parser.parse(json);
  if (!result) {
    check_refused(result.error().message, whole_document);
    return 0;
  }
  check_accepted(result.value(), whole_document);

  const std::string first(result.value().data);
  hub::PublicationParser fresh;
  const auto again = fresh.parse(json);
  RC_ASSERT(again.ok() && again.value().data == first);
  return 0;
}
