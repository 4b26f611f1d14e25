#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "load/latency.h"
#include "load/payload.h"
#include "load/url.h"

namespace ringcast::load {

/// A part of what is published, with numbers and a pace of its own.
struct Traffic {
  std::uint32_t first_lane = 0;
  std::uint32_t lanes = 1;
  std::uint64_t events = 0;
  double rate = 0;  ///< events a second; 0 = each lane as fast as it is answered

  /// Of the first `count` of its events, those of its lane `lane` (from 0): they go round the
  /// lanes.
  [[nodiscard]] std::uint64_t events_of_lane(std::size_t lane, std::uint64_t count) const {
    return count / lanes + (lane < count % lanes ? 1 : 0);
  }
};

/// Events, by their number in the run, that are published while streams are away: [first, end).
struct Missed {
  std::uint64_t first = 0;
  std::uint64_t end = 0;

  [[nodiscard]] std::uint64_t count() const { return end - first; }
  [[nodiscard]] bool holds(std::uint64_t event) const { return event >= first && event < end; }
};

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
  std::uint32_t stalled = 0;  ///< of the streams: not read after their response head
  std::uint32_t slow = 0;     ///< of the streams, none of them stalled: read slowly
  std::uint32_t slow_bytes_per_second = 0;
  std::uint32_t late_buffer_bytes = 0;  ///< SO_RCVBUF of stalled and slow streams; 0 = the system's
  bool resume_stalled = false;          ///< they are, once all others have everything
  std::uint32_t topics = 0;             ///< 0 = events and streams without a topic
  std::uint32_t threads = 1;            ///< that read
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
  /// all are back, but for `storm_missed` of them, which are published while all are closed.
  std::optional<std::uint64_t> storm_at;
  std::uint64_t storm_missed = 0;
  /// The first events are published while there is only stream 0. Then the others open with the ID
  /// from before these events.
  std::uint64_t replay = 0;
  /// Single topics beside broadcasts: `publications` go to all streams, and these beside them round
  /// the topics. 0 = no.
  std::uint64_t topic_publications = 0;
  double topic_rate = 0;
  std::uint32_t topic_publishers = 1;
  /// Replies of Redis are read as soon as they come, and timed.
  bool prompt_replies = false;
  /// Whose events on streams are told apart; null = none.
  const Stretch* stretch = nullptr;

  /// Whether streams remember where they are, to go on from there.
  [[nodiscard]] bool keeps_ids() const { return reconnect || storm_at.has_value() || replay > 0; }
  /// The header with the token of this stream or lane, its line end included; empty without tokens.
  [[nodiscard]] std::string token_header(std::uint32_t index) const {
    return tokens.empty() ? std::string{} : token_prefix + tokens[index % tokens.size()] + "\r\n";
  }
  [[nodiscard]] bool is_mixed() const { return topic_publications > 0; }
  /// The broadcasts of a mixed run, or all there is.
  [[nodiscard]] Traffic main_traffic() const {
    return {.first_lane = 0, .lanes = publishers, .events = publications, .rate = rate};
  }
  /// Of a mixed run.
  [[nodiscard]] Traffic topic_traffic() const {
    return {.first_lane = publishers,
            .lanes = topic_publishers,
            .events = topic_publications,
            .rate = topic_rate};
  }
  [[nodiscard]] std::uint32_t lanes() const {
    return publishers + (is_mixed() ? topic_publishers : 0);
  }
  [[nodiscard]] bool is_topic_lane(std::uint32_t lane) const {
    return is_mixed() && lane >= publishers;
  }
  /// How many topics the events of a lane go round; 1 = all streams get them all.
  [[nodiscard]] std::uint32_t topics_of_lane(std::uint32_t lane) const {
    return is_mixed() && lane < publishers ? 1 : topic_count();
  }
  /// Those that all streams, or all but stream 0, miss at first.
  [[nodiscard]] Missed missed() const {
    if (replay > 0) return {.first = 0, .end = replay};
    return {.first = storm_at.value_or(0), .end = storm_at.value_or(0) + storm_missed};
  }
  /// How many of them a stream with this topic is to get.
  [[nodiscard]] std::uint32_t missed_of(std::uint32_t topic) const {
    std::uint32_t count = 0;
    for (std::uint32_t lane = 0; lane < publishers; ++lane) {
      count += share_of(topic, main_traffic().events_of_lane(lane, missed().end)) -
               share_of(topic, main_traffic().events_of_lane(lane, missed().first));
    }
    return count;
  }
  [[nodiscard]] std::uint32_t topic_count() const { return topics == 0 ? 1 : topics; }
  [[nodiscard]] std::uint32_t topic_of(std::uint32_t stream) const {
    return stream % topic_count();
  }
  /// The server of a stream. Streams of each topic go round all servers.
  [[nodiscard]] const Url& events_of(std::uint32_t stream) const {
    return events[stream / topic_count() % events.size()];
  }
  /// Of an event with this number in its lane; empty if it is for all.
  [[nodiscard]] std::string topic_of_event(std::uint32_t lane, std::uint64_t sequence) const {
    if (topics == 0 || (is_mixed() && lane < publishers)) return {};
    return topic_name(static_cast<std::uint32_t>(sequence % topics));
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
    const Traffic traffic = is_topic_lane(lane) ? topic_traffic() : main_traffic();
    const std::uint64_t all = std::max<std::uint64_t>(
        traffic.events_of_lane(lane - traffic.first_lane, traffic.events), 1);
    return static_cast<unsigned>(std::min<std::uint64_t>(std::uint64_t{3} * sequence / all, 2));
  }
  [[nodiscard]] std::string topic_name(std::uint32_t topic) const {
    return "load-" + std::to_string(topic);
  }
  /// Stalled or slow. These streams are spread evenly over all.
  [[nodiscard]] bool is_late(std::uint32_t stream) const {
    return is_of_share(stream, stalled + slow, streams);
  }
  [[nodiscard]] bool is_stalled(std::uint32_t stream) const {
    if (!is_late(stream)) return false;
    const std::uint64_t late_before = std::uint64_t{stream} * (stalled + slow) / streams;
    return is_of_share(late_before, stalled, stalled + slow);
  }
  [[nodiscard]] bool is_slow(std::uint32_t stream) const {
    return slow > 0 && is_late(stream) && !is_stalled(stream);
  }
  /// Of the first `published` events of a lane, those that a stream with this topic is to receive:
  /// the events of a lane go round the topics, beginning with topic 0.
  [[nodiscard]] std::uint32_t share_of(std::uint32_t topic, std::uint64_t published) const {
    const std::uint32_t n = topic_count();
    return static_cast<std::uint32_t>((published + n - 1 - topic) / n);
  }
  /// The same for this lane, which may have broadcasts.
  [[nodiscard]] std::uint32_t share_of_lane(std::uint32_t lane, std::uint32_t topic,
                                            std::uint64_t published) const {
    return topics_of_lane(lane) == 1 ? static_cast<std::uint32_t>(published)
                                     : share_of(topic, published);
  }

 private:
  /// Whether `index` is among the `part` that are picked of `whole`, spread evenly.
  [[nodiscard]] static bool is_of_share(std::uint64_t index, std::uint64_t part,
                                        std::uint64_t whole) {
    return (index + 1) * part / whole != index * part / whole;
  }
};

}  // namespace ringcast::load
