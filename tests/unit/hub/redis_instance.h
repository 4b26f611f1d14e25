#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ringcast/base/event_id.h"
#include "ringcast/hub/event_store.h"
#include "ringcast/hub/redis_store.h"
#include "ringcast/uring/ring.h"

#include "redis_server.h"

namespace ringcast::test {

/// What a store gave to its sink.
struct Delivered {
  enum class Kind : std::uint8_t { event, sign_out, gap } kind = Kind::event;
  EventId id{};
  std::string event{};
  std::string data{};
  std::string topic{};
  std::optional<std::uint32_t> retry_ms{};
  hub::SignOut sign_out{};
  hub::EventSink::Hole hole{};
};

/// Stands for the hub: keeps everything, as long as there is room.
class FakeSink final : public hub::EventSink {
 public:
  [[nodiscard]] bool reserve(const hub::Publication& publication) override;
  void deliver(EventId id, const hub::Publication& publication) override;
  [[nodiscard]] bool deliver_sign_out(std::string_view topic, const hub::SignOut& what) override;
  [[nodiscard]] bool deliver_gap(const Hole& hole) override;
  void answer(const hub::Ticket& ticket, Answer answer) override;

  [[nodiscard]] std::vector<std::string> data() const;  ///< of the events
  [[nodiscard]] std::size_t gaps() const;

  std::vector<Delivered> delivered;
  std::map<std::uint32_t, Answer> answers;  ///< by serial; each comes once
  std::size_t room = SIZE_MAX;              ///< how much more is taken

 private:
  bool take_room();

  bool reserved_ = false;
  EventId newest_{};
};

/// A Redis store on its own ring, with this test in place of the hub. In real time.
class Instance {
 public:
  explicit Instance(const RedisServer& server,
                    const std::function<void(hub::RedisStoreOptions&)>& change = {});
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  /// A turn, after a wait of up to a millisecond.
  void turn();

  // Each returns the serial that its answer will have.
  std::uint32_t publish(const hub::Publication& publication);
  std::uint32_t publish(std::string_view data) {
    return publish({.event = {}, .data = data, .topic = {}, .retry_ms = {}});
  }
  std::uint32_t sign_out(std::string_view topic, const hub::SignOut& what);
  std::uint32_t ask_history(EventId after);

  [[nodiscard]] const hub::EventSink::Answer* answer(std::uint32_t serial) const;
  [[nodiscard]] std::optional<hub::Outcome> outcome(std::uint32_t serial) const;
  /// Connected, and everything was read that was there.
  [[nodiscard]] bool is_up() const;

  FakeSink sink;
  hub::RedisCounters counters;
  bool no_room = false;                          ///< what the last turn said
  std::optional<std::chrono::nanoseconds> wait;  ///< the same

 private:
  [[nodiscard]] hub::Ticket ticket(hub::RecordKind kind);

  std::unique_ptr<uring::Ring> ring_;
  std::unique_ptr<hub::RedisStore> store_;
  std::uint32_t serial_ = 0;

 public:
  [[nodiscard]] hub::RedisStore& store() { return *store_; }
};

/// Takes turns with all of them until `done`, or `limit` has passed: what `done` said last.
[[nodiscard]] bool until(std::initializer_list<Instance*> instances,
                         const std::function<bool()>& done,
                         std::chrono::milliseconds limit = std::chrono::seconds(10));
/// Takes turns for so long.
void run_for(std::initializer_list<Instance*> instances, std::chrono::milliseconds time);

/// Each entry of the stream `ringcast:events`, as id and fields.
struct Entry {
  EventId id;
  std::map<std::string, std::string> fields;
};
[[nodiscard]] std::vector<Entry> entries(RedisClient& client);
/// XADD with an ID that Redis gives; which one.
EventId add(RedisClient& client, std::initializer_list<std::string> fields);

/// The number of the connection with that name, such as `ringcast-tail`.
[[nodiscard]] std::string client_number(RedisClient& client, std::string_view name);

/// A connection that sends and does not wait: what it sends stands in Redis's socket in its place
/// among what others send, while Redis is frozen.
class Sender {
 public:
  explicit Sender(const RedisServer& server);
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;
  void send(std::string_view line);

 private:
  int fd_;
};

}  // namespace ringcast::test
