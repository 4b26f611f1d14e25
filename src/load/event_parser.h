#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace ringcast::load {

/// An event of a stream, valid during the call that hands it over.
struct Event {
  std::string_view type;  ///< empty: message
  std::string_view id;
  std::string_view data;  ///< its first line, exact in the first kKeptBytes
  bool has_id = false;
  bool has_data = false;
};

/// Of a line, or of a field, that the buffers cut in two, this much is kept. Longer lines pass
/// through.
inline constexpr std::size_t kKeptBytes = 256;
/// A longer response head is malformed.
inline constexpr std::size_t kHeadBytesMax = 16'384;

/// What a stream remembers between two buffers when an event, or the head, straddles them. Taken
/// from a pool, because nearly always nothing does.
struct Partial {
  std::string
      line;  ///< the front of a line without its end; in the head phase all of the head so far
  std::string type;
  std::string id;
  std::string data;
  bool has_id = false;
  bool has_data = false;
  bool first_line = true;  ///< `data` has not begun
};

class PartialPool {
 public:
  [[nodiscard]] std::uint32_t take();
  void give_back(std::uint32_t index);
  [[nodiscard]] Partial& at(std::uint32_t index) { return all_[index]; }
  [[nodiscard]] std::size_t in_use() const { return all_.size() - free_.size(); }

 private:
  std::deque<Partial> all_;  ///< a deque: entries stay where they are
  std::vector<std::uint32_t> free_;
};

/// Where a stream's bytes stand, in 16 bytes.
///
///   head ─200─► chunk_size ─► chunk_data ─► chunk_end ─┐        (Transfer-Encoding: chunked)
///     │             ▲ │                               │
///     │             │ └─0─► ended                     │
///     │             └───────────────────────────────┘
///     ├─200─► until_close                                       (no coding: HTTP/1.0 and proxies)
///     ├─other status─► refused
///     └─anything against the rules, here or above─► malformed
struct ParserState {
  enum class Phase : std::uint8_t {
    head,
    chunk_size,
    chunk_extension,
    chunk_data,
    chunk_end,
    until_close,
    ended,
    refused,
    malformed
  };
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  std::uint32_t chunk_left = 0;  ///< chunk_size: the digits so far
  std::uint32_t partial = kNone;
  std::uint16_t status = 0;  ///< of the response; 0 before its head has been read
  Phase phase = Phase::head;
  std::uint8_t digits = 0;  ///< of chunk_size
  bool after_cr = false;    ///< the last line ended in CR: an LF that follows belongs to it
};
static_assert(sizeof(ParserState) == 16, "one for each stream");

/// Reads an event stream in whatever pieces it arrives: response head (RFC 9112), chunked coding
/// (section 7.1 there), then the event stream format (WHATWG HTML, section 9.2.6). A whole frame
/// within one buffer costs a few memchr and no copy.
///
/// Threads: one. The pool may be shared by all streams of the thread.
class EventParser {
 public:
  explicit EventParser(PartialPool& pool) : pool_(pool) {}

  /// Reads `bytes` and calls `on_event(const Event&)` for each event that is complete. After
  /// `ended`, `refused` and `malformed` bytes are ignored.
  template <class OnEvent>
  void feed(ParserState& state, std::string_view bytes, OnEvent&& on_event) {
    using Phase = ParserState::Phase;
    while (!bytes.empty()) {
      switch (state.phase) {
        case Phase::chunk_data: {
          const std::string_view body = bytes.substr(0, state.chunk_left);
          read_lines(state, body, on_event);
          bytes.remove_prefix(body.size());
          state.chunk_left -= static_cast<std::uint32_t>(body.size());
          if (state.chunk_left == 0) state.phase = Phase::chunk_end;
          break;
        }
        case Phase::until_close:
          read_lines(state, bytes, on_event);
          return;
        case Phase::chunk_size:
        case Phase::chunk_extension:
        case Phase::chunk_end:
          bytes.remove_prefix(read_framing(state, bytes));
          break;
        case Phase::head:
          bytes.remove_prefix(read_head(state, bytes));
          break;
        case Phase::ended:
        case Phase::refused:
        case Phase::malformed:
          return;
      }
    }
  }

  /// Forgets the stream's bytes, to begin with a head again.
  void reset(ParserState& state);

 private:
  /// The fields of the event that is being read, pointing into the buffer or into the stream's
  /// Partial.
  struct Fields {
    Event event;
    bool first_line = true;
  };

  template <class OnEvent>
  void read_lines(ParserState& state, std::string_view body, OnEvent&& on_event) {
    if (state.after_cr) {
      state.after_cr = false;
      if (body.front() == '\n') body.remove_prefix(1);
    }
    Fields fields;
    if (state.partial != ParserState::kNone) fields = load(state);
    while (!body.empty()) {
      const std::size_t line_bytes = find_line_end(body);
      if (line_bytes == std::string_view::npos) break;
      const bool cr = body[line_bytes] == '\r';
      std::string_view line = body.substr(0, line_bytes);
      body.remove_prefix(line_bytes + 1);
      if (cr) {
        if (body.empty()) {
          state.after_cr = true;
        } else if (body.front() == '\n') {
          body.remove_prefix(1);
        }
      }
      if (state.partial != ParserState::kNone) line = complete_line(state, line);
      if (!line.empty()) {
        read_field(fields, line);
        continue;
      }
      if (fields.event.has_data || fields.event.has_id) on_event(fields.event);
      fields = Fields{};
      if (state.partial != ParserState::kNone) release(state);
    }
    const bool between_events =
        body.empty() && !fields.event.has_data && !fields.event.has_id && fields.event.type.empty();
    if (!between_events) {
      store(state, fields, body);
    } else if (state.partial != ParserState::kNone && pool_.at(state.partial).line.empty()) {
      release(state);
    }
  }

  /// Place of the first CR or LF, or npos.
  static std::size_t find_line_end(std::string_view body);
  std::size_t read_head(ParserState& state, std::string_view bytes);
  static std::size_t read_framing(ParserState& state, std::string_view bytes);
  static void read_field(Fields& fields, std::string_view line);
  Fields load(const ParserState& state);
  /// The line whose front is in the Partial, if any is.
  std::string_view complete_line(const ParserState& state, std::string_view rest);
  void store(ParserState& state, const Fields& fields, std::string_view rest);
  void release(ParserState& state);

  PartialPool& pool_;
  /// What complete_line returned. That happens at most once between two `store`, which copies what
  /// is still needed of it.
  std::string completed_;
};

}  // namespace ringcast::load
