#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace ringcast::sim {

/// The head of an HTTP response as the simulated client understood it.
struct ResponseHead {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case

  [[nodiscard]] std::string_view header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view{} : std::string_view(found->second);
  }
  [[nodiscard]] bool closes() const { return header("connection") == "close"; }
};

class ResponseSink {
 public:
  virtual ~ResponseSink() = default;
  virtual void on_head(const ResponseHead& head) = 0;
  virtual void on_body(std::string_view bytes) = 0;
  /// The message is whole. Not for a body that runs until the connection ends.
  virtual void on_message_end() = 0;
  virtual void on_malformed(const std::string& why) = 0;
};

/// Reads HTTP/1.1 responses one after the other, strictly, and shares no code with the server: a
/// client that this project did not write would have to agree with it.
class ResponseReader {
 public:
  explicit ResponseReader(ResponseSink& sink) : sink_(sink) {}

  void feed(std::string_view bytes);
  /// In the middle of a message whose end would have to be told by more bytes.
  [[nodiscard]] bool unfinished() const {
    return state_ != State::head ? state_ != State::until_close : !buffer_.empty();
  }

 private:
  enum class State {
    head,
    length,
    chunk_head,
    chunk_data,
    chunk_tail,
    last_chunk,
    until_close,
    broken
  };

  [[nodiscard]] bool step();
  [[nodiscard]] bool read_head();
  [[nodiscard]] bool read_chunk_head();
  void malformed(const std::string& why);
  void end_message();

  ResponseSink& sink_;
  std::string buffer_;
  State state_ = State::head;
  std::uint64_t left_ = 0;  // of the body or the chunk
};

/// An event as an EventSource would dispatch it.
struct ReceivedEvent {
  std::string type = "message";
  std::string data;
  std::optional<std::string> id;  ///< only if this event has one
  std::optional<std::uint64_t> retry;
};

/// Cuts a stream into events: WHATWG HTML, section 9.2.6, without the leniency (a CR, a NUL or a
/// field that is not known cannot come from this server and is malformed).
class EventReader {
 public:
  /// Takes bytes; false when they are malformed.
  [[nodiscard]] bool feed(std::string_view bytes);
  /// The next whole event.
  [[nodiscard]] std::optional<ReceivedEvent> next();
  [[nodiscard]] bool in_the_middle() const { return !buffer_.empty(); }

 private:
  std::string buffer_;  // of what is not a whole event yet
  std::string whole_;
};

}  // namespace ringcast::sim
