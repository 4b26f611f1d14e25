#include "ringcast/http/request.h"

#include <algorithm>
#include <optional>
#include <string>

#include "ringcast/base/assert.h"

#include "characters.h"
#include "line_scanner.h"
#include "message_reader.h"

namespace ringcast::http {
namespace {

constexpr std::string_view kCrlf = "\r\n";

/// RFC 9112 section 2.2 asks for one; old browsers sent one behind each form. Not counted as head.
constexpr std::uint32_t kEmptyLinesMax = 4;

/// Size, extension and CRLF of one chunk.
constexpr std::size_t kChunkLineBytes = 256;

/// The first buffer of a head, so that a usual one grows it once or never.
constexpr std::size_t kHeadBytesStart = 512;

/// A TLS record of the type handshake begins with this byte; no HTTP request does.
constexpr char kTlsHandshake = 0x16;

enum class ChunkKind : std::uint8_t { data, last, malformed };

/// Strict before Beast sees it: `0x5` begins with a zero that looks like the last chunk.
ChunkKind classify_chunk(std::string_view line) {
  std::size_t digits = 0;
  bool zero = true;
  while (digits < line.size() && characters::hex_value(line[digits]) >= 0) {
    zero = zero && line[digits] == '0';
    ++digits;
  }
  if (digits == 0) return ChunkKind::malformed;
  if (digits < line.size() &&
      std::string_view("; \t").find(line[digits]) == std::string_view::npos) {
    return ChunkKind::malformed;
  }
  return zero ? ChunkKind::last : ChunkKind::data;
}

bool is_field_line(std::string_view line) {
  const std::size_t colon = line.find(':');
  return colon != std::string_view::npos && colon != 0 &&
         characters::all_in(characters::kToken, line.substr(0, colon));
}

/// Empties the text; frees its memory when that is above `keep_bytes`. Returns what is left of
/// them.
std::size_t clear_keeping(std::string& text, std::size_t keep_bytes) {
  if (text.capacity() > keep_bytes) {
    std::string().swap(text);
  } else {
    text.clear();
  }
  return keep_bytes - std::min(keep_bytes, text.capacity());
}

}  // namespace

/// The bytes of a request pass through these phases; only what is drawn as a loop may repeat.
///
///     head ──┬────────────────────────────────────────────► complete
///            ├─► sized body ──────────────────────────────►    ▲
///            └─► chunk size ─► chunk data ─► chunk end ─┐      │
///                  ▲   │                                │      │
///                  └───┼────────────────────────────────┘      │
///                      └─► trailers ───────────────────────────┘
///
/// Each phase cuts its bytes at places that the bytes themselves give (line ends, lengths), and
/// only then asks Beast. Any phase can end in `failed`.
struct RequestParser::Impl {
  enum class Phase : std::uint8_t {
    head,
    sized_body,
    chunk_size,
    chunk_data,
    chunk_end,
    trailers,
    complete,
    failed,
  };

  explicit Impl(const ParserLimits& limits_given) : limits(limits_given) { restart(); }

  void restart() {
    request = Request{};
    failure = ParseFailure{};
    scanner.reset();
    reader.emplace(request, body, joined, limits.body_bytes);
    phase = Phase::head;
    empty_lines = 0;
    line_begin = 0;
    chunk_extra_bytes = 0;
    trailer_bytes = 0;
    body_begun = false;
  }

  std::size_t feed(std::string_view bytes) {
    std::size_t taken = 0;
    while (taken < bytes.size() && phase != Phase::complete && phase != Phase::failed) {
      const std::string_view rest = bytes.substr(taken);
      if (phase != Phase::head) body_begun = true;
      switch (phase) {
        case Phase::head:
          taken += take_head(rest);
          break;
        case Phase::sized_body:
          taken += take_sized_body(rest);
          break;
        case Phase::chunk_size:
          taken += take_chunk_size(rest);
          break;
        case Phase::chunk_data:
          taken += take_chunk_data(rest);
          break;
        case Phase::chunk_end:
          taken += take_chunk_end(rest);
          break;
        case Phase::trailers:
          taken += take_trailers(rest);
          break;
        case Phase::complete:
        case Phase::failed:
          break;
      }
    }
    return taken;
  }

  std::size_t take_head(std::string_view bytes) {
    if (scanner.at_start() && !may_begin_line(bytes.front())) return 1;
    const std::size_t room = limits.header_bytes - head.size();
    if (room == 0) return fail(431, "request head too large");
    if (head.capacity() < kHeadBytesStart) head.reserve(kHeadBytesStart);

    const auto [event, taken] = scanner.take(bytes.substr(0, room));
    head.append(bytes.substr(0, taken));
    if (event == LineScanner::Event::bad) {
      fail(400, scanner.problem());
    } else if (event == LineScanner::Event::whole && scanner.length() == 0) {
      end_of_head();
    }
    return taken;
  }

  /// The first byte of a line says early what a client of another protocol is.
  bool may_begin_line(char c) {
    if (head.empty()) {
      if (c == kTlsHandshake) {
        fail(400, "this port speaks plain HTTP, not TLS");
      } else if (c != '\r' && c != '\n' && !characters::is_in(characters::kToken, c)) {
        fail(400, "malformed request line");
      }
    } else if (c == ' ' || c == '\t') {
      fail(400, "folded header line");
    }
    return phase != Phase::failed;
  }

  void end_of_head() {
    if (head.size() == kCrlf.size()) {
      head.clear();
      if (++empty_lines > kEmptyLinesMax) fail(400, "empty lines instead of a request");
      return;
    }
    if (!reader->read_head(head)) {
      fail(reader->failure());
    } else if (reader->done()) {
      complete();
    } else {
      phase = reader->chunked() ? Phase::chunk_size : Phase::sized_body;
    }
  }

  std::size_t take_sized_body(std::string_view bytes) {
    const std::string_view part = bytes.substr(
        0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), reader->body_left())));
    if (!reader->read_body(part)) {
      fail(reader->failure());
    } else if (reader->done()) {
      complete();
    }
    return part.size();
  }

  std::size_t take_chunk_size(std::string_view bytes) {
    const std::size_t room = kChunkLineBytes - (line.size() - line_begin);
    if (room == 0) return fail(400, "chunk size line too long");
    const auto [event, taken] = scanner.take(bytes.substr(0, room));
    line.append(bytes.substr(0, taken));
    if (event == LineScanner::Event::bad) {
      fail(400, "malformed chunk size");
    } else if (event == LineScanner::Event::whole) {
      end_of_chunk_size(std::string_view(line).substr(line_begin, scanner.length()));
    }
    return taken;
  }

  /// `text` is the size line; in front of it, `line` holds the CRLF of the chunk before, because
  /// Beast takes the two together.
  void end_of_chunk_size(std::string_view text) {
    // One digit for each nibble is needed; the rest (zeros, extensions) is the client's choice.
    constexpr std::size_t kUsefulDigits = 8;
    chunk_extra_bytes += text.size() - std::min(text.size(), kUsefulDigits);
    if (chunk_extra_bytes > limits.header_bytes) {
      fail(400, "chunk extensions too large");
      return;
    }
    const ChunkKind kind = classify_chunk(text);
    if (kind == ChunkKind::malformed) {
      fail(400, "malformed chunk size");
    } else if (kind == ChunkKind::last) {
      line_begin = line.size();
      phase = Phase::trailers;
    } else if (!reader->read_chunk_line(line)) {
      fail(reader->failure());
    } else {
      line.clear();
      phase = Phase::chunk_data;
    }
  }

  std::size_t take_chunk_data(std::string_view bytes) {
    const std::string_view part = bytes.substr(
        0, static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), reader->body_left())));
    if (!reader->read_chunk_data(part)) {
      fail(reader->failure());
    } else if (reader->body_left() == 0) {
      phase = Phase::chunk_end;
    }
    return part.size();
  }

  std::size_t take_chunk_end(std::string_view bytes) {
    if (bytes.front() != kCrlf[line.size()]) {
      fail(400, "no CRLF after a chunk");
      return 1;
    }
    line.push_back(bytes.front());
    if (line.size() == kCrlf.size()) {
      line_begin = line.size();
      phase = Phase::chunk_size;
    }
    return 1;
  }

  /// Trailers are checked and dropped: nothing in them may change what the head said
  /// (RFC 9110 section 6.5.1). Beast would obey their `Connection`, so it never sees them.
  std::size_t take_trailers(std::string_view bytes) {
    const std::size_t room = limits.header_bytes - trailer_bytes;
    if (room == 0) return fail(431, "trailers too large");
    const auto [event, taken] = scanner.take(bytes.substr(0, room));
    trailer_bytes += taken;
    if (event == LineScanner::Event::bad) {
      fail(400, scanner.problem());
      return taken;
    }
    line.append(bytes.substr(0, taken));
    if (event == LineScanner::Event::partial) return taken;
    const auto trailer = std::string_view(line).substr(line_begin, scanner.length());
    if (trailer.empty()) {
      end_of_trailers();
    } else if (!is_field_line(trailer)) {
      fail(400, "malformed trailer");
    } else {
      line.resize(line_begin);
    }
    return taken;
  }

  void end_of_trailers() {
    if (reader->read_chunk_line(line)) {
      RC_ASSERT(reader->done());
      complete();
    } else {
      fail(reader->failure());
    }
  }

  void complete() {
    request.body = body;
    phase = Phase::complete;
  }

  void fail(const ParseFailure& why) {
    failure = why;
    phase = Phase::failed;
  }

  /// Returns the bytes that were taken: none.
  std::size_t fail(std::uint16_t status, std::string_view reason) {
    fail(ParseFailure{status, reason});
    return 0;
  }

  [[nodiscard]] ParseState state() const {
    switch (phase) {
      case Phase::head:
        return ParseState::head;
      case Phase::complete:
        return ParseState::complete;
      case Phase::failed:
        return ParseState::failed;
      default:
        return ParseState::body;
    }
  }

  const ParserLimits limits;
  Request request;
  ParseFailure failure;
  LineScanner scanner;
  std::optional<MessageReader>
      reader;        // Beast's parser cannot be reset, but costs nothing to build
  std::string head;  // whole and unmoved while `request` is in use: its views point here
  std::string body;
  std::string joined;          // what `request` shows of several lines as one
  std::string line;            // of the chunked coding, waiting to be whole
  std::size_t line_begin = 0;  // in `line`
  std::size_t chunk_extra_bytes = 0;
  std::size_t trailer_bytes = 0;
  std::uint32_t empty_lines = 0;
  Phase phase = Phase::head;
  bool body_begun = false;
};

RequestParser::RequestParser(const ParserLimits& limits) : impl_(std::make_unique<Impl>(limits)) {}
RequestParser::RequestParser(RequestParser&&) noexcept = default;
RequestParser::~RequestParser() = default;

std::size_t RequestParser::feed(std::string_view bytes) {
  return impl_->feed(bytes);
}

ParseState RequestParser::state() const {
  return impl_->state();
}

bool RequestParser::started() const {
  // A CR in front may still become an empty line, which belongs to no request.
  return impl_->phase != Impl::Phase::head || (!impl_->head.empty() && impl_->head.front() != '\r');
}

bool RequestParser::expects_continue() const {
  return state() == ParseState::body && impl_->reader->expects_continue() && !impl_->body_begun;
}

const Request& RequestParser::request() const {
  return impl_->request;
}

const ParseFailure& RequestParser::failure() const {
  return impl_->failure;
}

void RequestParser::reset(std::size_t keep_bytes) {
  keep_bytes = clear_keeping(impl_->head, keep_bytes);
  keep_bytes = clear_keeping(impl_->body, keep_bytes);
  keep_bytes = clear_keeping(impl_->line, keep_bytes);
  clear_keeping(impl_->joined, keep_bytes);
  impl_->restart();
}

}  // namespace ringcast::http
