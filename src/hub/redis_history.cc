#include "redis_history.h"

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>

#include <hiredis/hiredis.h>
#include <xxhash.h>

#include "ringcast/sse/frame.h"

#include "redis_entry.h"
#include "redis_tail.h"

namespace ringcast::hub {
namespace {

constexpr std::size_t kPageEntriesMin = 4;  // of entries that are not large
static_assert(PageSize::kMost == kHistoryPageEvents);

// Appends topic and frame; false: they do not fit any more.
bool append_event(EventId id, const Publication& publication, HistoryPage& page) {
  const sse::EventFields fields{
      .event = publication.event, .data = publication.data, .retry_ms = publication.retry_ms};
  const sse::FrameSize size = sse::frame_size(id, fields);
  const std::string_view topic = publication.topic;
  const std::size_t at = page.bytes.size();
  const std::size_t end = at + topic.size() + size.bytes;
  if (end > kHistoryPageBytes && !page.events.empty()) return false;
  page.bytes.append(topic);
  page.bytes.resize(end);
  sse::encode_frame(id, fields,
                    std::as_writable_bytes(std::span(page.bytes).subspan(at + topic.size())));
  page.events.push_back({.id = id,
                         .topic_hash = topic.empty() ? 0 : XXH3_64bits(topic.data(), topic.size()),
                         .offset = static_cast<std::uint32_t>(at),
                         .topic_bytes = static_cast<std::uint32_t>(topic.size()),
                         .frame_bytes = size.bytes,
                         .chunk_head_bytes = size.chunk_head_bytes});
  return true;
}

}  // namespace

RedisHistory::RedisHistory(const RedisStoreOptions& options, const RedisKeys& keys,
                           RedisConnection& commands, const RedisTail& tail, EventSink& sink,
                           RedisCounters& counters, const Time& now)
    : keys_(keys),
      event_bytes_max_(options.event_bytes_max),
      at_once_(options.history_at_once),
      waiting_max_(options.history_waiting_max),
      commands_(commands),
      tail_(tail),
      sink_(sink),
      counters_(counters),
      now_(now) {}

void RedisHistory::request(const Ticket& ticket, EventId after) {
  Request request{.ticket = ticket, .after = after, .deadline_ns = now_.mono_ns + kWaitNs};
  if (stopping_ || !commands_.ready() || waiting_.size() >= waiting_max_) {
    refuse(request);
    return;
  }
  waiting_.push_back(request);
  send_waiting();
  show_waiting();
}

void RedisHistory::send_waiting() {
  while (!waiting_.empty() && in_flight_.size() < at_once_ && commands_.ready()) {
    Request request = waiting_.front();
    waiting_.pop_front();
    send(request);
  }
}

void RedisHistory::send(Request request) {
  const bool from_start = request.after == EventId{};
  // Before the command: what comes between it and its reply is not skipped then.
  request.newest = tail_.delivered();
  request.entries = page_size_.entries() + (from_start ? 0 : 1);
  const std::string position = from_start ? "-" : to_string(request.after);
  const std::string count = std::to_string(request.entries);
  const std::array<std::string_view, 6> words{"XRANGE", keys_.stream, position,
                                              "+",      "COUNT",      count};
  in_flight_.push_back(request);
  commands_.send(words, *this, 0);
}

void RedisHistory::refuse(Request& request) {
  request.is_answered = true;
  counters_.history_refused.add();
  sink_.answer(request.ticket, {.outcome = Outcome::not_taken});
}

void RedisHistory::show_waiting() {
  counters_.history_waiting.set(waiting_.size() + in_flight_.size() + held_.size());
}

void RedisHistory::on_lost() {
  if (!in_flight_.empty()) page_size_.on_lost();
  for (auto* requests : {&waiting_, &in_flight_}) {
    for (Request& request : *requests) {
      if (!request.is_answered) refuse(request);
    }
    requests->clear();
  }
  show_waiting();
}

void RedisHistory::answer(const Request& request, std::unique_ptr<HistoryPage> page) {
  sink_.answer(request.ticket, {.outcome = Outcome::done, .page = std::move(page)});
}

void RedisHistory::answer_held() {
  const auto settle = [this](Held& held) {
    if (tail_.position() >= held.page->last) {
      held.page->at_end = true;
      answer(held.request, std::move(held.page));
      return true;
    }
    if (held.request.deadline_ns > now_.mono_ns) return false;
    refuse(held.request);
    return true;
  };
  std::erase_if(held_, settle);
}

void RedisHistory::stop() {
  stopping_ = true;
  for (Held& held : held_) refuse(held.request);
  held_.clear();
  for (Request& request : waiting_) refuse(request);
  waiting_.clear();
  for (Request& request : in_flight_) {
    if (!request.is_answered) refuse(request);
  }
  show_waiting();
}

std::uint64_t RedisHistory::turn() {
  answer_held();
  // What was sent first is due first.
  std::uint64_t next_ns = 0;
  const auto is_due = [&](const Request& request) { return request.deadline_ns <= now_.mono_ns; };
  for (Request& request : in_flight_) {
    if (request.is_answered) continue;
    if (is_due(request)) {
      refuse(request);
    } else if (next_ns == 0) {
      next_ns = request.deadline_ns;
    }
  }
  while (!waiting_.empty() && is_due(waiting_.front())) {
    refuse(waiting_.front());
    waiting_.pop_front();
  }
  if (next_ns == 0 && !waiting_.empty()) next_ns = waiting_.front().deadline_ns;
  for (const Held& held : held_) {
    next_ns = next_ns == 0 ? held.request.deadline_ns : std::min(next_ns, held.request.deadline_ns);
  }
  send_waiting();
  show_waiting();
  return next_ns;
}

void RedisHistory::on_reply(std::uint64_t, const redisReply* reply) {
  if (reply == nullptr || in_flight_.empty()) return;  // on_lost comes
  Request request = in_flight_.front();
  in_flight_.pop_front();
  if (!request.is_answered) {
    if (!is_array(reply)) {
      refuse(request);
    } else {
      bool is_end = false;
      auto page = build_page(request, reply, is_end);
      if (page) counters_.history_pages.add();
      if (!page) {
        refuse(request);
      } else if (is_end && !page->at_end && page->events.empty()) {
        held_.push_back({.request = request, .page = std::move(page)});
      } else {
        answer(request, std::move(page));
      }
    }
  }
  send_waiting();
  show_waiting();
}

std::unique_ptr<HistoryPage> RedisHistory::build_page(const Request& request,
                                                      const redisReply* entries, bool& is_end) {
  auto page = std::make_unique<HistoryPage>();
  page->last = request.after;
  const bool from_start = request.after == EventId{};
  if (entries->elements == 0) {
    if (!from_start) page->found = HistoryPage::Found::beyond;
    page->last = request.newest;
    page->at_end = tail_.position() >= request.after;
    return page;
  }
  if (const auto first = first_id(entries); !from_start && first != request.after) {
    page->found = HistoryPage::Found::gap;
    page->oldest = first;
  }
  is_end = entries->elements < request.entries;
  for (std::size_t i = 0; i < entries->elements; ++i) {
    if (!read_raw_entry(entries->element[i], raw_)) return nullptr;
    if (i == 0 && raw_.id == request.after) continue;
    if (raw_.id <= page->last) return nullptr;
    const auto entry = read_entry(raw_.fields, event_bytes_max_);
    if (entry && entry.value().kind == RedisEntry::Kind::event &&
        !append_event(raw_.id, entry.value().publication, *page)) {
      is_end = false;
      break;
    }
    page->last = raw_.id;
  }
  if (is_end && page->last < request.newest) {
    // Events that were delivered once are not there any more: Redis lost them.
    if (!from_start) page->found = HistoryPage::Found::gap;
    page->last = request.newest;
  }
  page->at_end = is_end && tail_.position() >= page->last;
  adapt_page_size(request, entries, *page);
  return page;
}

// What does not fit into the page was read for nothing.
void RedisHistory::adapt_page_size(const Request& request, const redisReply* entries,
                                   const HistoryPage& page) {
  page_size_.on_reply(request.entries, entries->elements, field_bytes(entries));
  if (page.bytes.size() > kHistoryPageBytes / 2) {
    page_size_.at_most(std::max(2 * page.events.size(), kPageEntriesMin));
  }
}

}  // namespace ringcast::hub
