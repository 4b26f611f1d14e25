#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ringcast/hub/event_store.h"

#include "model.h"
#include "world.h"

namespace ringcast::sim {

/// How a store behaves that is somewhere else. All delays are drawn up to these, all chances are of
/// one append.
struct RemoteOptions {
  std::size_t prefilled = 0;     ///< events that are there before the server starts
  std::size_t keeps = 1'000;     ///< events at most; older ones are trimmed
  std::size_t page_entries = 8;  ///< of history, at most
  std::uint64_t reply_ns = 0;
  std::uint64_t tail_ns = 0;
  std::uint64_t stall_ns = 0;  ///< of the tail, now and then
  double not_taken = 0;
  double unknown = 0;
  std::size_t others = 0;      ///< events that other servers add while things happen
  bool flood = false;          ///< once, of events that fill every buffer
  std::uint64_t pause_ns = 0;  ///< between two things that others or the store itself do
};

/// A hub::EventStore that answers late and keeps the truth, as the one of Redis does:
///
///    append ──► stored (the truth) ──► reply                    in either order
///                  └──► read by the tail ──► reserve, deliver
///    history ──► a page is taken ──► reply, by what the tail has come to
///
/// Entries that are no events (sign-outs, garbage) have IDs too. It trims, also what the tail has
/// not read; it goes away and comes back; other servers append to it.
class RemoteStore final : public hub::EventStore {
 public:
  RemoteStore(World& world, Model& model, const RemoteOptions& options,
              std::function<std::uint64_t()> unix_ms, std::size_t body_bytes_max);

  /// Where the tail begins: the newest position of a log at start.
  [[nodiscard]] EventId floor() const { return floor_; }
  /// From now on nothing happens but what it was asked for.
  void calm();
  [[nodiscard]] std::uint64_t pages() const { return pages_; }
  /// Requests for history that it did not take.
  [[nodiscard]] std::uint64_t history_refused() const { return history_refused_; }
  [[nodiscard]] std::uint64_t late_ends() const { return late_ends_; }
  [[nodiscard]] std::uint64_t no_room() const { return no_room_; }
  /// True when a shard has not read all that was delivered.
  std::function<bool(std::size_t shard)> inbox_waits;

  void attach(hub::EventSink& sink, uring::Ring& ring) override;
  [[nodiscard]] bool append(const hub::Ticket& ticket, const hub::Publication& publication,
                            ringcast::Time now) override;
  [[nodiscard]] bool sign_out(const hub::Ticket& ticket, std::string_view topic,
                              const hub::SignOut& what, ringcast::Time now) override;
  [[nodiscard]] bool history(const hub::Ticket& ticket, EventId after, ringcast::Time now) override;
  void on_completion(const uring::Completion& completion, ringcast::Time now) override;
  [[nodiscard]] Next turn(ringcast::Time now) override;
  void stop(ringcast::Time) override {}
  [[nodiscard]] bool stopped() const override { return true; }

 private:
  struct Entry {
    enum class Kind { event, sign_out, garbage } kind = Kind::garbage;
    EventId id{};
    std::string event{};
    std::string data{};
    std::string topic{};
    std::optional<std::uint32_t> retry{};
    hub::SignOut what{};
    [[nodiscard]] hub::Publication publication() const {
      return {.event = event, .data = data, .topic = topic, .retry_ms = retry};
    }
  };
  struct Reply {
    hub::Ticket ticket;
    hub::EventSink::Answer answer;
    bool is_end = false;  ///< of a page: nothing followed when it was taken
  };

  void store(Entry entry);
  void trim(std::size_t keep);
  void others_act();
  void add_of_others();
  void add_of_others(const Publication& publication);
  void reply_later(std::shared_ptr<Reply> reply);
  [[nodiscard]] std::unique_ptr<hub::HistoryPage> take_page(EventId after, bool& is_end);
  void read_tail_later();
  void read_tail();
  [[nodiscard]] bool hand_on();
  [[nodiscard]] bool hand_on(const Entry& entry);
  [[nodiscard]] std::uint64_t delay(std::uint64_t ns_max);
  void wake();

  World& world_;
  Model& model_;
  RemoteOptions options_;
  std::function<std::uint64_t()> unix_ms_;
  std::size_t body_bytes_max_;
  hub::EventSink* sink_ = nullptr;
  uring::Ring* ring_ = nullptr;

  std::deque<Entry> entries_;
  EventId newest_;   // that was ever given
  EventId trimmed_;  // the newest that is not kept any more
  EventId floor_;
  bool calm_ = false;
  std::uint64_t away_until_ns_ = 0;
  std::deque<std::shared_ptr<Reply>> replies_;  // have arrived

  enum class Tail { idle, reading, has_page } tail_ = Tail::idle;
  EventId last_;  // that the tail has handed on
  std::optional<hub::EventSink::Hole> hole_;
  EventId after_hole_;
  std::deque<Entry> page_;

  std::uint64_t pages_ = 0;
  std::uint64_t history_refused_ = 0;
  std::uint64_t late_ends_ = 0;
  std::uint64_t no_room_ = 0;
};

}  // namespace ringcast::sim
