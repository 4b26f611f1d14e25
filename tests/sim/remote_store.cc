#include "remote_store.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include <xxhash.h>

#include "ringcast/base/assert.h"
#include "ringcast/sse/frame.h"

namespace ringcast::sim {
namespace {

constexpr std::uint64_t kDeadlineNs = 2 * kNsPerSecond;

EventId next_id(EventId id) {
  return id.sequence == ~std::uint64_t{0} ? EventId{id.ms + 1, 0} : EventId{id.ms, id.sequence + 1};
}

EventId id_before(EventId id) {
  return id.sequence == 0 ? EventId{id.ms - 1, ~std::uint64_t{0}} : EventId{id.ms, id.sequence - 1};
}

std::string frame_of(EventId id, const hub::Publication& publication, std::uint8_t& head_bytes) {
  const sse::EventFields fields{
      .event = publication.event, .data = publication.data, .retry_ms = publication.retry_ms};
  std::string frame(sse::frame_size(id, fields).bytes, '\0');
  head_bytes =
      sse::encode_frame(id, fields, std::as_writable_bytes(std::span(frame))).chunk_head_bytes;
  return frame;
}

}  // namespace

RemoteStore::RemoteStore(World& world, Model& model, const RemoteOptions& options,
                         std::function<std::uint64_t()> unix_ms, std::size_t body_bytes_max)
    : world_(world),
      model_(model),
      options_(options),
      unix_ms_(std::move(unix_ms)),
      body_bytes_max_(body_bytes_max) {
  const std::size_t before_floor = world_.random.between(0, options_.prefilled);
  for (std::size_t i = 0; i < options_.prefilled; ++i) {
    if (i == before_floor) floor_ = newest_;
    add_of_others();
  }
  if (before_floor == options_.prefilled) floor_ = newest_;
  last_ = floor_;
  model_.set_floor(floor_);
}

void RemoteStore::attach(hub::EventSink& sink, uring::Ring& ring) {
  sink_ = &sink;
  ring_ = &ring;
  read_tail_later();
  others_act();
}

std::uint64_t RemoteStore::delay(std::uint64_t ns_max) {
  return world_.random.skewed(ns_max) +
         (away_until_ns_ > world_.timeline.now() ? away_until_ns_ - world_.timeline.now() : 0);
}

void RemoteStore::wake() {
  ring_->wake_from_outside();
}

void RemoteStore::calm() {
  calm_ = true;
  away_until_ns_ = 0;
}

// ── What is stored ──────────────────────────────────────────────────────────────────────────────

void RemoteStore::store(Entry entry) {
  const std::uint64_t now_ms = unix_ms_();
  newest_ = now_ms > newest_.ms ? EventId{now_ms, 0} : next_id(newest_);
  entry.id = newest_;
  if (entry.kind == Entry::Kind::event) {
    hub::EventRecord header{};
    header.kind = hub::RecordKind::event;
    header.id = entry.id;
    const std::string frame = frame_of(entry.id, entry.publication(), header.chunk_head_bytes);
    header.topic_bytes = static_cast<std::uint32_t>(entry.topic.size());
    header.frame_bytes = static_cast<std::uint32_t>(frame.size());
    std::string record(sizeof header, '\0');
    std::memcpy(record.data(), &header, sizeof header);
    record += entry.topic;
    record += frame;
    model_.on_stored(std::as_bytes(std::span(record)));
  } else {
    world_.trace("entry %s is no event", to_string(entry.id).c_str());
  }
  entries_.push_back(std::move(entry));
  if (entries_.size() > options_.keeps && world_.random.chance(0.3)) trim(options_.keeps);
  if (sink_ != nullptr && tail_ == Tail::idle) read_tail_later();
}

void RemoteStore::trim(std::size_t keep) {
  while (entries_.size() > keep) {
    trimmed_ = entries_.front().id;
    entries_.pop_front();
  }
  model_.on_trimmed(trimmed_);
  world_.trace("the store has trimmed everything up to %s", to_string(trimmed_).c_str());
}

void RemoteStore::add_of_others() {
  Random& random = world_.random;
  if (random.chance(0.08)) {
    store({.kind = Entry::Kind::garbage});
  } else if (random.chance(0.08)) {
    store({.kind = Entry::Kind::sign_out,
           .topic = "user/anna",
           .what = {.session = random.next(), .expires_ms = unix_ms_() + 1'000}});
  } else {
    const Publication& publication = model_.invent(body_bytes_max_);
    if (publication.refusal == 0) add_of_others(publication);
  }
}

void RemoteStore::add_of_others(const Publication& publication) {
  store({.kind = Entry::Kind::event,
         .event = publication.event,
         .data = publication.data,
         .topic = topic_name(publication.topic),
         .retry = publication.retry});
}

void RemoteStore::others_act() {
  if (calm_) return;
  Random& random = world_.random;
  const std::uint64_t what = random.below(100);
  if (what < 70 && options_.others > 0) {
    const std::size_t count = random.chance(0.2) ? random.skewed(60) : 1;
    for (std::size_t i = 0; i < count && options_.others > 0; ++i, --options_.others)
      add_of_others();
  } else if (what < 80) {
    away_until_ns_ = world_.timeline.now() + random.skewed(2 * kNsPerSecond);
    world_.trace("the store is away");
  } else if (what < 90 && std::exchange(options_.flood, false)) {
    constexpr std::size_t kFlood = 200;
    const std::size_t bytes_left = 20;  // for what else there is
    for (std::size_t i = 0; i < kFlood; ++i)
      add_of_others(model_.invent_large(body_bytes_max_ - bytes_left));
  } else if (what < 95) {
    trim(random.skewed(options_.keeps) - 1);
  }
  world_.timeline.after(options_.pause_ns / 2 + random.skewed(options_.pause_ns),
                        [this] { others_act(); });
}

// ── Commands ────────────────────────────────────────────────────────────────────────────────────

void RemoteStore::reply_later(std::shared_ptr<Reply> reply) {
  // Never much faster than a network: a page that comes before the tail is asked for again.
  world_.timeline.after(options_.reply_ns / 4 + delay(options_.reply_ns),
                        [this, reply = std::move(reply)] {
                          replies_.push_back(reply);
                          wake();
                        });
}

bool RemoteStore::append(const hub::Ticket& ticket, const hub::Publication& publication, Time) {
  Random& random = world_.random;
  const bool likes = calm_ || !random.chance(options_.not_taken);
  if (!likes && random.chance(0.5)) {
    sink_->answer(ticket, {.outcome = hub::Outcome::not_taken});
    return true;
  }
  auto reply = std::make_shared<Reply>();
  reply->ticket = ticket;
  if (!likes) {
    reply->answer.outcome = hub::Outcome::not_taken;
    reply_later(std::move(reply));
    return true;
  }
  Entry entry{.kind = Entry::Kind::event,
              .event = std::string(publication.event.empty() ? "message" : publication.event),
              .data = std::string(publication.data),
              .topic = std::string(publication.topic),
              .retry = publication.retry_ms};
  if (!calm_ && random.chance(options_.unknown)) {
    // Its reply is lost: it may have been stored, or is stored later, or never.
    Publication* const known = model_.find_publication(entry.event, entry.data);
    RC_ASSERT(known != nullptr);
    known->doubtful = true;
    reply->answer.outcome = hub::Outcome::unknown;
    reply_later(std::move(reply));
    if (random.chance(0.5)) {
      world_.timeline.after(delay(kDeadlineNs), [this, entry = std::move(entry)] { store(entry); });
    }
    return true;
  }
  world_.timeline.after(delay(options_.reply_ns), [this, reply, entry = std::move(entry)] {
    store(entry);
    reply->answer.id = newest_;
    reply_later(reply);
  });
  return true;
}

bool RemoteStore::sign_out(const hub::Ticket& ticket, std::string_view topic,
                           const hub::SignOut& what, Time) {
  store({.kind = Entry::Kind::sign_out, .topic = std::string(topic), .what = what});
  sink_->answer(ticket, {});
  return true;
}

bool RemoteStore::history(const hub::Ticket& ticket, EventId after, Time) {
  if (!calm_ && away_until_ns_ > world_.timeline.now() && world_.random.chance(0.7)) {
    ++history_refused_;
    sink_->answer(ticket, {.outcome = hub::Outcome::not_taken});
    return true;
  }
  auto reply = std::make_shared<Reply>();
  reply->ticket = ticket;
  world_.timeline.after(delay(options_.reply_ns), [this, reply, after] {
    if (!calm_ && away_until_ns_ > world_.timeline.now()) {
      ++history_refused_;
      reply->answer.outcome = hub::Outcome::not_taken;
    } else {
      reply->answer.page = take_page(after, reply->is_end);
    }
    reply_later(reply);
  });
  return true;
}

std::unique_ptr<hub::HistoryPage> RemoteStore::take_page(EventId after, bool& is_end) {
  using Found = hub::HistoryPage::Found;
  auto page = std::make_unique<hub::HistoryPage>();
  page->last = after;
  auto next = std::upper_bound(entries_.begin(), entries_.end(), after,
                               [](EventId a, const Entry& b) { return a < b.id; });
  const bool is_kept = next != entries_.begin() && std::prev(next)->id == after;
  const bool from_start = after == EventId{};
  if (after > newest_ || (next == entries_.end() && !is_kept && !from_start && after != newest_)) {
    page->found = Found::beyond;
    page->last = newest_;
  } else if (!from_start && !is_kept && after != newest_) {
    page->found = Found::gap;
    page->oldest = next->id;
  }
  for (std::size_t left = world_.random.between(1, options_.page_entries);
       left > 0 && next != entries_.end(); --left, ++next) {
    page->last = next->id;
    if (next->kind != Entry::Kind::event) continue;
    hub::HistoryEvent event{};
    event.id = next->id;
    event.topic_hash =
        next->topic.empty() ? 0 : XXH3_64bits(next->topic.data(), next->topic.size());
    event.offset = static_cast<std::uint32_t>(page->bytes.size());
    const std::string frame = frame_of(next->id, next->publication(), event.chunk_head_bytes);
    event.topic_bytes = static_cast<std::uint32_t>(next->topic.size());
    event.frame_bytes = static_cast<std::uint32_t>(frame.size());
    page->bytes += next->topic;
    page->bytes += frame;
    page->events.push_back(event);
  }
  is_end = next == entries_.end();
  // Of an empty store everything that there ever was is behind it.
  if (is_end && from_start) page->last = std::max(page->last, trimmed_);
  world_.trace("a page after %s: %zu events up to %s%s", to_string(after).c_str(),
               page->events.size(), to_string(page->last).c_str(),
               page->found == Found::exact ? ""
               : page->found == Found::gap ? ", gap"
                                           : ", beyond");
  return page;
}

// ── The tail ────────────────────────────────────────────────────────────────────────────────────

void RemoteStore::read_tail_later() {
  tail_ = Tail::reading;
  const bool stalls = !calm_ && world_.random.chance(0.1);
  world_.timeline.after(delay(stalls ? options_.stall_ns : options_.tail_ns),
                        [this] { read_tail(); });
}

void RemoteStore::read_tail() {
  auto next = std::upper_bound(entries_.begin(), entries_.end(), last_,
                               [](EventId a, const Entry& b) { return a < b.id; });
  // Whether its last entry was the last that was trimmed, it cannot know for sure.
  const bool is_hole = trimmed_ > last_ || (trimmed_ == last_ && next != entries_.end() &&
                                            next->id > next_id(last_) && world_.random.chance(0.3));
  if (is_hole) {
    const bool any = next != entries_.end();
    // At or above every position inside, so that whoever stands there is told too.
    hole_ = {.id = any ? id_before(next->id) : newest_,
             .newest = last_,
             .oldest = any ? std::optional(next->id) : std::nullopt};
    after_hole_ = any ? last_ : newest_;
  }
  for (std::size_t left = world_.random.between(1, 200); left > 0 && next != entries_.end();
       --left, ++next) {
    page_.push_back(*next);
  }
  if (page_.empty() && !hole_) {
    tail_ = Tail::idle;
    return;
  }
  world_.timeline.after(delay(options_.tail_ns), [this] {
    tail_ = Tail::has_page;
    wake();
  });
}

bool RemoteStore::hand_on() {
  if (hole_) {
    if (!sink_->deliver_gap(*hole_)) return false;
    last_ = after_hole_;
    hole_.reset();
  }
  for (; !page_.empty(); page_.pop_front()) {
    if (!hand_on(page_.front())) return false;
    last_ = page_.front().id;
  }
  read_tail_later();
  return true;
}

bool RemoteStore::hand_on(const Entry& entry) {
  switch (entry.kind) {
    case Entry::Kind::event:
      if (!sink_->reserve(entry.publication())) return false;
      sink_->deliver(entry.id, entry.publication());
      return true;
    case Entry::Kind::sign_out:
      return sink_->deliver_sign_out(entry.topic, entry.what);
    case Entry::Kind::garbage:
      break;
  }
  return true;
}

void RemoteStore::on_completion(const uring::Completion&, Time) {
  RC_ASSERT(false);  // it has nothing on the ring but wakes
}

hub::EventStore::Next RemoteStore::turn(Time) {
  // What has arrived is taken in either order, as from two connections.
  const bool tail_first = world_.random.chance(0.5);
  Next next;
  const auto take_tail = [&] {
    if (tail_ != Tail::has_page || next.no_room) return;
    next.no_room = !hand_on();
    if (next.no_room) ++no_room_;
  };
  if (tail_first) take_tail();
  for (; !replies_.empty(); replies_.pop_front()) {
    Reply& reply = *replies_.front();
    if (hub::HistoryPage* const page = reply.answer.page.get()) {
      page->at_end = reply.is_end && last_ >= page->last;
      ++pages_;
      if (page->at_end && inbox_waits(reply.ticket.shard)) ++late_ends_;
    }
    sink_->answer(reply.ticket, std::move(reply.answer));
  }
  take_tail();
  return next;
}

}  // namespace ringcast::sim
