#include "ringcast/sse/frame.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>

#include "ringcast/base/assert.h"

namespace ringcast::sse {
namespace {

constexpr std::string_view kIdField = "id: ";
constexpr std::string_view kEventField = "event: ";
constexpr std::string_view kRetryField = "retry: ";
constexpr std::string_view kDataField = "data: ";
constexpr std::string_view kDefaultEvent = "message";

struct LineEnds {
  std::size_t lf = 0;
  std::size_t cr = 0;
  std::size_t crlf = 0;  // pairs, each also counted in lf and in cr

  [[nodiscard]] std::size_t ends() const { return lf + cr - crlf; }
  [[nodiscard]] std::size_t bytes() const { return lf + cr; }
};

// Blocks so short that the counters of one fit into a byte: the compiler then compares and adds a
// whole vector of bytes at a time.
LineEnds count_line_ends(std::string_view data) {
  constexpr std::size_t kBlock = 240;
  LineEnds total;
  char before = 0;
  while (!data.empty()) {
    const std::size_t size = std::min(data.size(), kBlock);
    const char* const at = data.data();
    std::uint8_t lf = at[0] == '\n';
    std::uint8_t cr = at[0] == '\r';
    std::uint8_t crlf = at[0] == '\n' && before == '\r';
    for (std::size_t i = 1; i < size; ++i) {
      const auto is_lf = static_cast<std::uint8_t>(at[i] == '\n');
      const auto after_cr = static_cast<std::uint8_t>(at[i - 1] == '\r');
      lf = static_cast<std::uint8_t>(lf + is_lf);
      cr = static_cast<std::uint8_t>(cr + static_cast<std::uint8_t>(at[i] == '\r'));
      crlf = static_cast<std::uint8_t>(crlf + (is_lf & after_cr));
    }
    total.lf += lf;
    total.cr += cr;
    total.crlf += crlf;
    before = at[size - 1];
    data.remove_prefix(size);
  }
  return total;
}

std::size_t decimal_digits(std::uint64_t value) {
  std::size_t digits = 1;
  for (; value >= 10; value /= 10) ++digits;
  return digits;
}

bool names_event(const EventFields& fields) {
  return !fields.event.empty() && fields.event != kDefaultEvent;
}

struct Measured {
  FrameSize size;
  std::uint32_t content_bytes;
  bool has_cr;
};

Measured measure(std::optional<EventId> id, const EventFields& fields) {
  const LineEnds line_ends = count_line_ends(fields.data);
  std::size_t content = 1;  // the empty line that dispatches the event
  if (id) {
    content += kIdField.size() + decimal_digits(id->ms) + 1 + decimal_digits(id->sequence) + 1;
  }
  if (names_event(fields)) content += kEventField.size() + fields.event.size() + 1;
  if (fields.retry_ms) content += kRetryField.size() + decimal_digits(*fields.retry_ms) + 1;
  content += fields.data.size() - line_ends.bytes();
  content += (line_ends.ends() + 1) * (kDataField.size() + 1);

  const auto hex_digits = static_cast<std::size_t>(std::bit_width(content) + 3) / 4;
  const std::size_t head = hex_digits + 2;
  const std::size_t total = head + content + kChunkTail.size();
  RC_ASSERT(total <= std::numeric_limits<std::uint32_t>::max());
  return {{static_cast<std::uint32_t>(total), static_cast<std::uint8_t>(head)},
          static_cast<std::uint32_t>(content),
          line_ends.cr != 0};
}

class Writer {
 public:
  explicit Writer(std::span<std::byte> out)
      : at_(reinterpret_cast<char*>(out.data())), end_(at_ + out.size()) {}

  void text(std::string_view text) {
    if (text.empty()) return;  // memcpy from a null view is undefined
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void byte(char value) { *at_++ = value; }
  void number(std::uint64_t value, int base = 10) {
    at_ = std::to_chars(at_, end_, value, base).ptr;
  }
  [[nodiscard]] const char* at() const { return at_; }

 private:
  char* at_;
  char* end_;
};

std::size_t find(std::string_view data, char wanted, std::size_t from) {
  const std::size_t found = data.find(wanted, from);
  return found == std::string_view::npos ? data.size() : found;
}

// Looks for each kind of line end only when the last one found of it has been passed, so that data
// with rare CRs is not searched for them again at each LF.
void write_data(Writer& out, std::string_view data, bool has_cr) {
  std::size_t at = 0;
  std::size_t lf = find(data, '\n', 0);
  std::size_t cr = has_cr ? find(data, '\r', 0) : data.size();
  for (;;) {
    const std::size_t line_end = std::min(lf, cr);
    out.text(kDataField);
    out.text(data.substr(at, line_end - at));
    out.byte('\n');
    if (line_end == data.size()) return;
    at = line_end + 1;
    if (line_end == cr) {
      if (lf == at && at < data.size()) ++at;  // without an LF, lf is the size
      cr = find(data, '\r', at);
    }
    if (lf < at) lf = find(data, '\n', at);
  }
}

}  // namespace

FrameSize frame_size(std::optional<EventId> id, const EventFields& fields) {
  return measure(id, fields).size;
}

FrameSize encode_frame(std::optional<EventId> id, const EventFields& fields,
                       std::span<std::byte> out) {
  const Measured measured = measure(id, fields);
  RC_ASSERT(out.size() >= measured.size.bytes);
  RC_DEBUG_ASSERT(fields.event.find_first_of(std::string_view("\r\n\0", 3)) ==
                  std::string_view::npos);

  Writer writer(out.first(measured.size.bytes));
  writer.number(measured.content_bytes, 16);
  writer.text("\r\n");
  if (id) {
    writer.text(kIdField);
    writer.number(id->ms);
    writer.byte('-');
    writer.number(id->sequence);
    writer.byte('\n');
  }
  if (names_event(fields)) {
    writer.text(kEventField);
    writer.text(fields.event);
    writer.byte('\n');
  }
  if (fields.retry_ms) {
    writer.text(kRetryField);
    writer.number(*fields.retry_ms);
    writer.byte('\n');
  }
  write_data(writer, fields.data, measured.has_cr);
  writer.byte('\n');
  writer.text(kChunkTail);
  RC_DEBUG_ASSERT(writer.at() == reinterpret_cast<const char*>(out.data()) + measured.size.bytes);
  return measured.size;
}

}  // namespace ringcast::sse
