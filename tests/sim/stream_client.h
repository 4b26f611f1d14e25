#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "channel.h"
#include "network.h"
#include "response_reader.h"
#include "rules.h"

namespace ringcast::sim {

/// A client of GET /events that checks everything it gets against the model. It lives over several
/// connections, which it resumes with the last ID that it saw, as an EventSource does.
///
/// What it may receive next, in ordinals of the model's truth:
///
///    ... received ...]  next              certain
///                        v                   v
///    ---------------------[  may be left out  )[  must come, if it is of our topics  ....
///
/// `certain` is above `next` only before the first event of a connection whose starting position
/// the model knows between two bounds.
class StreamClient final : public ClientSide, public ResponseSink {
 public:
  struct Kind {
    TopicMask topics = 0;
    Line line;
    bool http10 = false;
    std::optional<TlsKind> tls{};
    std::uint32_t number = 0;
  };

  StreamClient(Rules& rules, Network& network, const Kind& kind);

  /// Connects to a listener of `shard`; `position` goes into Last-Event-ID or the query.
  void open(int listener, std::size_t shard, std::optional<std::string> position);
  [[nodiscard]] bool connected() const { return connection_ != nullptr; }
  [[nodiscard]] Connection* connection() const { return connection_; }
  [[nodiscard]] bool streaming() const { return connected() && state_ == State::streaming; }
  /// Nothing has ever held it back, and nothing may go wrong with it.
  [[nodiscard]] bool fair() const { return kind_.line.fair; }
  [[nodiscard]] const std::optional<std::string>& last_id() const { return last_id_; }
  [[nodiscard]] const Kind& kind() const { return kind_; }

  /// The client's own doing; the connection is forgotten.
  void leave();
  void reset();
  void vanish();
  void stall(bool stalled);
  /// From now on it reads at once.
  void hurry();
  /// Does something that only a client under TLS can do.
  void fidget();

  /// It must have everything by now.
  void check_complete();
  /// The server is gone: so must its connection be.
  void check_ended();
  void check_heartbeats();

  void on_bytes(std::string_view bytes) override;
  void on_end(bool clean) override;
  void on_head(const ResponseHead& head) override;
  void on_body(std::string_view bytes) override;
  void on_message_end() override;
  void on_malformed(const std::string& why) override;

 private:
  enum class State { waiting, streaming, refused };

  [[nodiscard]] std::string request_text(const std::optional<std::string>& position);
  void on_event(const ReceivedEvent& event);
  void on_heartbeat(const ReceivedEvent& event);
  void on_first_heartbeat(const ReceivedEvent& event);
  void on_gap(const ReceivedEvent& event, bool first);
  void on_first_gap(std::optional<EventId> requested, std::optional<EventId> oldest,
                    std::optional<EventId> newest);
  void on_closing(const ReceivedEvent& event);
  void on_published(const ReceivedEvent& event);
  /// It may be sent away while it is served from history.
  [[nodiscard]] bool history_may_fail() const;
  /// Of a stream whose server has a remote store.
  void on_first_gap_of_store(std::optional<EventId> requested, std::optional<EventId> oldest);
  /// What lies before `oldest`, or, if there is none, before what comes, is missing: the store must
  /// not have it any more.
  void skip_trimmed(std::optional<EventId> oldest);
  [[nodiscard]] std::optional<bool> gap_of_store_expected(EventId id) const;
  /// True when it must have been told of a gap, false when it must not, nothing when both are
  /// right.
  [[nodiscard]] std::optional<bool> gap_expected() const;
  /// Nothing that it must get lies in [next_, end).
  void check_no_hole(std::size_t end, const std::string& before_what);
  /// The first heartbeat, and the gap if it announced one.
  [[nodiscard]] bool has_first_words() const { return events_seen_ > 0 && !gap_must_follow_; }
  void fail(const std::string& what);

  Rules& rules_;
  World& world_;
  Model& model_;
  Channel channel_;
  Kind kind_;
  std::optional<std::string> last_id_;

  // Of the current connection.
  Connection* connection_ = nullptr;
  std::size_t shard_ = 0;
  State state_ = State::waiting;
  std::optional<std::string> position_;  // that was asked for
  std::optional<ResponseReader> reader_;
  EventReader events_;
  bool message_ended_ = false;
  std::uint32_t events_seen_ = 0;
  bool gap_must_follow_ = false;
  std::optional<std::string> closing_;
  std::size_t next_ = 0;
  std::size_t certain_ = 0;
  std::uint64_t last_heard_ns_ = 0;
  bool too_long_ = false;  // of the position: 400 is right
  bool live_ = false;      // has had a heartbeat, so it is not served from history
  std::uint64_t opened_ns_ = 0;
  std::uint64_t history_refused_before_ = 0;
};

}  // namespace ringcast::sim
