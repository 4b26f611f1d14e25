#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "load/latency.h"
#include "load/payload.h"
#include "load/url.h"

namespace ringcast::load {

/// What a run does; read-only once it has begun.
struct Plan {
  std::vector<Url> events;  ///< servers; streams go round them
  Url publish;              ///< takes POST
  Url publish_redis;        ///< takes PUBLISH, when its host is not empty
  Url subscribe_redis;
  std::string channel;
  std::vector<std::string> headers;  ///< `Name: value`, added to each request
  std::vector<std::string> tokens;   ///< streams and lanes go round them; empty = none
  BodyTemplate publish_body;
  std::string publish_type = "application/json";
  std::string publish_method = "POST";
  std::string broadcast_topic = "all";  ///< in the place of a topic, where there is none
  std::string token_prefix;             ///< stands before the token: `Name: ` and what else belongs
  std::string last_event_id;            ///< every stream begins with it; empty = none
  std::vector<std::string> sources;  ///< addresses to connect from; empty = what the system picks
  std::uint32_t streams = 0;
  std::uint32_t stalled = 0;    ///< of the streams: not read after their response head
  bool resume_stalled = false;  ///< they are, once all others have everything
  std::uint32_t topics = 0;     ///< 0 = events and streams without a topic
  std::uint32_t threads = 1;    ///< that read
  std::uint32_t streams_per_ring = 0;
  std::uint32_t connecting_max = 0;  ///< not yet answered at any moment, for each thread
  std::uint32_t publishers = 1;      ///< connections; each is one lane of sequence numbers
  std::uint64_t publications = 0;
  std::uint32_t subscribers = 0;        ///< bare ones of the channel
  std::uint64_t others_messages = 0;    ///< that each subscriber is to hear before the run ends
  std::uint32_t pipeline = 0;           ///< PUBLISHes without a reply on each connection, at most
  std::uint32_t publish_gather_us = 0;  ///< what comes due within it is published together
  std::uint32_t frame_bytes = 0;        ///< see encode_data
  double rate = 0;              ///< events a second; 0 = each lane as fast as it is answered
  std::uint16_t run = 0;        ///< Stamp::run
  std::uint32_t gather_us = 0;  ///< a reader rests this long after it has read something
  bool reconnect = false;
  /// After so many events all streams are closed at once and opened again; the others wait until
  /// all are back.
  std::optional<std::uint64_t> storm_at;
  /// Whose events on streams are told apart; null = none.
  const Stretch* stretch = nullptr;

  /// Whether streams remember where they are, to go on from there.
  [[nodiscard]] bool keeps_ids() const { return reconnect || storm_at.has_value(); }
  /// The header with the token of this stream or lane, its line end included; empty without tokens.
  [[nodiscard]] std::string token_header(std::uint32_t index) const {
    return tokens.empty() ? std::string{} : token_prefix + tokens[index % tokens.size()] + "\r\n";
  }
  /// Of the first `count` events of the run, those of this lane: they go round the lanes.
  [[nodiscard]] std::uint64_t events_of_lane(std::size_t lane, std::uint64_t count) const {
    return count / publishers + (lane < count % publishers ? 1 : 0);
  }
  [[nodiscard]] std::uint32_t topic_count() const { return topics == 0 ? 1 : topics; }
  [[nodiscard]] std::uint32_t topic_of(std::uint32_t stream) const {
    return stream % topic_count();
  }
  /// The server of a stream. Streams of each topic go round all servers.
  [[nodiscard]] const Url& events_of(std::uint32_t stream) const {
    return events[stream / topic_count() % events.size()];
  }
  /// Of an event with this number in its lane; empty without topics.
  [[nodiscard]] std::string topic_of_event(std::uint64_t sequence) const {
    return topics == 0 ? std::string{} : topic_name(static_cast<std::uint32_t>(sequence % topics));
  }
  /// What is published with this stamp and topic, which may be empty.
  [[nodiscard]] std::string body_of(const Stamp& stamp, std::string_view topic) const {
    if (publish_body.is_own()) return encode_body(stamp, frame_bytes, topic);
    return publish_body.fill(encode_data(stamp, frame_bytes),
                             topic.empty() ? std::string_view{broadcast_topic} : topic);
  }
  /// What a stream asks this server for.
  [[nodiscard]] std::string target_of(const Url& url, std::uint32_t topic) const {
    if (url.has_topic()) return url.target_for(topics == 0 ? broadcast_topic : topic_name(topic));
    return topics == 0 ? url.target : url.target_with("topic", topic_name(topic));
  }
  /// Which third of the run an event belongs to: 0, 1 or 2.
  [[nodiscard]] unsigned third_of(std::uint32_t lane, std::uint32_t sequence) const {
    const std::uint64_t all = std::max<std::uint64_t>(events_of_lane(lane, publications), 1);
    return static_cast<unsigned>(std::min<std::uint64_t>(std::uint64_t{3} * sequence / all, 2));
  }
  [[nodiscard]] std::string topic_name(std::uint32_t topic) const {
    return "load-" + std::to_string(topic);
  }
  /// Spreads the stalled streams evenly over all.
  [[nodiscard]] bool is_stalled(std::uint32_t stream) const {
    const std::uint64_t below = std::uint64_t{stream} * stalled / streams;
    return (std::uint64_t{stream} + 1) * stalled / streams != below;
  }
  /// Of the first `published` events of a lane, those that a stream with this topic is to receive:
  /// the events of a lane go round the topics, beginning with topic 0.
  [[nodiscard]] std::uint32_t share_of(std::uint32_t topic, std::uint64_t published) const {
    const std::uint32_t n = topic_count();
    return static_cast<std::uint32_t>((published + n - 1 - topic) / n);
  }
};

/// How the threads of a run end together. Any thread.
class RunState {
 public:
  void stop() { stopping_.store(true, std::memory_order_release); }
  [[nodiscard]] bool stopping() const { return stopping_.load(std::memory_order_acquire); }

  /// From now on the stalled streams are read.
  void resume() { resuming_.store(true, std::memory_order_release); }
  [[nodiscard]] bool resuming() const { return resuming_.load(std::memory_order_acquire); }

  /// From now on every stream is to be closed, once, and opened again.
  void begin_storm() { storming_.store(true, std::memory_order_release); }
  [[nodiscard]] bool storming() const { return storming_.load(std::memory_order_acquire); }
  /// All are back: publishing goes on.
  void end_storm() { storm_over_.store(true, std::memory_order_release); }
  [[nodiscard]] bool storm_over() const { return storm_over_.load(std::memory_order_acquire); }

  /// Ends the run because it cannot go on. The first reason is kept.
  void fail(std::string reason) {
    {
      const std::lock_guard lock{mutex_};
      if (reason_.empty()) reason_ = std::move(reason);
    }
    failed_.store(true, std::memory_order_release);
  }
  [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_acquire); }
  [[nodiscard]] std::string reason() const {
    const std::lock_guard lock{mutex_};
    return reason_;
  }

 private:
  std::atomic<bool> stopping_{false};
  std::atomic<bool> resuming_{false};
  std::atomic<bool> storming_{false};
  std::atomic<bool> storm_over_{false};
  std::atomic<bool> failed_{false};
  mutable std::mutex mutex_;
  std::string reason_;
};

}  // namespace ringcast::load
