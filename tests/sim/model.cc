#include "model.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "response_reader.h"

namespace ringcast::sim {
namespace {

std::string json_escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '\n':
        result += "\\n";
        break;
      case '\r':
        result += "\\r";
        break;
      case '"':
        result += "\\\"";
        break;
      default:
        result += c;
    }
  }
  return result;
}

// What an EventSource makes of the line ends of published data.
std::string normalized(std::string_view data) {
  std::string result;
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (data[i] == '\r') {
      if (i + 1 < data.size() && data[i + 1] == '\n') ++i;
      result += '\n';
    } else {
      result += data[i];
    }
  }
  return result;
}

// The publication's number stands in the data as `#17#`, or in the event's name as `empty17`.
constexpr std::string_view kEmptyDataEvent = "empty";

std::optional<std::uint32_t> number_of(const ReceivedEvent& event) {
  std::string digits;
  if (event.type.starts_with(kEmptyDataEvent)) {
    digits = event.type.substr(kEmptyDataEvent.size());
  } else {
    const std::size_t first = event.data.find('#');
    const std::size_t last = event.data.find('#', first + 1);
    if (first == std::string::npos || last == std::string::npos) return std::nullopt;
    digits = event.data.substr(first + 1, last - first - 1);
  }
  if (digits.empty() || digits.size() > 9 ||
      !std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; })) {
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(std::stoul(digits));
}

}  // namespace

const std::string& topic_name(std::uint32_t topic) {
  static const std::string names[kTopics] = {"", "orders", "user/anna", "caf\xc3\xa9 & bar", "z"};
  return names[topic];
}

// ── Publishing ──────────────────────────────────────────────────────────────────────────────────

void Model::make_data(Publication& publication, std::size_t room) {
  static const std::string words[] = {
      "\n",           "\r",        "\r\n",           " ",
      "data: x",      "id: 1-1\n", "ordinary text ", "\n\n",
      "\xe2\x82\xac", ":",         "0\r\n\r\n",      "xxxxxxxxxxxxxxxxxxxx"};
  const bool only_line_ends = world_.random.chance(0.05);
  std::string data = "#" + std::to_string(publication.number) + "#";
  const std::size_t size = world_.random.chance(0.1) ? room : world_.random.skewed(room);
  // A line end takes two bytes in JSON.
  for (std::size_t used = data.size() + 4; used < size;) {
    const std::string& word =
        only_line_ends ? words[0] : words[world_.random.below(std::size(words))];
    used += 2 * word.size();
    if (used < size) data += word;
  }
  publication.data = normalized(data);
  publication.body = "\"" + json_escaped(data) + "\"";
}

void Model::make_bad(Publication& publication, std::size_t body_bytes_max) {
  publication.refusal = 400;
  switch (world_.random.below(6)) {
    case 0:
      publication.body = R"({"event":"x"})";
      break;
    case 1:
      publication.body = R"({"data":"x","event":"a\nid: 7-7"})";
      break;
    case 2:
      publication.body = R"({"data":"x","topic":""})";
      break;
    case 3:
      publication.body = R"({"data":"x")";
      break;
    case 4:
      publication.body = R"({"data":"x","surprise":1})";
      break;
    default:
      publication.refusal = 413;
      publication.body = R"({"data":")" + std::string(body_bytes_max, 'x') + R"("})";
  }
}

Publication& Model::invent(std::size_t body_bytes_max) {
  Publication& publication = publications_.emplace_back();
  publication.number = static_cast<std::uint32_t>(publications_.size() - 1);
  if (world_.random.chance(0.02)) {
    make_bad(publication, body_bytes_max);
    return publication;
  }
  publication.event = "message";
  if (world_.random.chance(0.6))
    publication.topic = static_cast<std::uint32_t>(world_.random.below(kTopics));
  if (world_.random.chance(0.1)) {
    publication.retry = static_cast<std::uint32_t>(world_.random.below(100'000));
  }
  std::string extra;
  if (world_.random.chance(0.03)) {
    publication.event = std::string(kEmptyDataEvent) + std::to_string(publication.number);
  } else if (world_.random.chance(0.3)) {
    publication.event = "install";
  }
  if (publication.event != "message") extra += R"(,"event":")" + publication.event + "\"";
  if (publication.topic != 0) extra += R"(,"topic":")" + topic_name(publication.topic) + "\"";
  if (publication.retry) extra += R"(,"retry":)" + std::to_string(*publication.retry);

  if (publication.event.starts_with(kEmptyDataEvent)) {
    publication.body = "\"\"";
  } else if (world_.random.chance(0.1)) {
    publication.data =
        "{\"n\":\"#" + std::to_string(publication.number) + "#\",\"list\":[1.50,null,true]}";
    publication.body = "{ \"n\" : \"#" + std::to_string(publication.number) +
                       "#\",\n \"list\":[ 1.50, null,\ttrue ] }";
  } else {
    make_data(publication, body_bytes_max - extra.size() - std::string_view("{\"data\":}").size());
  }
  publication.body = "{\"data\":" + publication.body + extra + "}";
  return publication;
}

Publication& Model::invent_large(std::size_t line_ends) {
  Publication& publication = publications_.emplace_back();
  publication.number = static_cast<std::uint32_t>(publications_.size() - 1);
  publication.event = "message";
  publication.data = "#" + std::to_string(publication.number) + "#" + std::string(line_ends, '\n');
  return publication;
}

void Model::on_answer(Publication& publication, int status, std::string_view event_id) {
  if (status != 204) {
    publication.refused = true;
    return;
  }
  const auto id = parse_event_id(event_id);
  if (!id) {
    world_.fail("publication %u was answered 204 with the Event-Id '%s'", publication.number,
                std::string(event_id).c_str());
    return;
  }
  publication.acknowledged = *id;
  const auto ordinal = find(*id);
  if (!ordinal || truth_[*ordinal].publication != &publication) {
    world_.fail("publication %u was acknowledged as %s, which is not its event", publication.number,
                std::string(event_id).c_str());
  }
}

void Model::check_publications() {
  for (const Publication& publication : publications_) {
    if (publication.refused && publication.sequenced && !publication.doubtful) {
      world_.fail("publication %u was refused, but became an event", publication.number);
    }
    if (publication.acknowledged && !publication.sequenced) {
      world_.fail("publication %u was acknowledged, but is no event", publication.number);
    }
  }
}

// ── The truth ───────────────────────────────────────────────────────────────────────────────────

namespace {

/// Unwraps a frame as a client would.
class FrameSink final : public ResponseSink {
 public:
  void on_head(const ResponseHead&) override {}
  void on_body(std::string_view bytes) override {
    well_formed_ = events_.feed(bytes) && well_formed_;
  }
  void on_message_end() override {}
  void on_malformed(const std::string&) override { well_formed_ = false; }
  [[nodiscard]] std::optional<ReceivedEvent> event() {
    return well_formed_ ? events_.next() : std::nullopt;
  }

 private:
  EventReader events_;
  bool well_formed_ = true;
};

struct Record {
  hub::EventRecord header;
  std::string_view topic;
  std::string_view rest;
};

Record read_record(std::span<const std::byte> record) {
  hub::EventRecord header;
  std::memcpy(&header, record.data(), sizeof header);
  const auto* text = reinterpret_cast<const char*>(record.data()) + sizeof header;
  return {header, {text, header.topic_bytes}, {text + header.topic_bytes, header.frame_bytes}};
}

std::optional<ReceivedEvent> unwrap(std::string_view frame) {
  FrameSink sink;
  ResponseReader reader(sink);
  reader.feed("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n");
  reader.feed(frame);
  return sink.event();
}

}  // namespace

Publication* Model::find_publication(const std::string& event, const std::string& data) {
  const auto number = number_of({.type = event, .data = data});
  return number && *number < publications_.size() ? &publications_[*number] : nullptr;
}

void Model::on_stored(std::span<const std::byte> bytes) {
  const auto [header, topic, frame] = read_record(bytes);
  const std::string id = to_string(header.id);
  const auto event = unwrap(frame);
  Publication* const found = event ? find_publication(event->type, event->data) : nullptr;
  if (found == nullptr) {
    world_.fail("the event %s is no publication: %s", id.c_str(), std::string(frame).c_str());
    return;
  }
  Publication& publication = *found;
  const EventId newest = truth_.empty() ? EventId{} : truth_.back().id;
  if (header.id <= newest) {
    world_.fail("the event %s is not newer than %s", id.c_str(), to_string(newest).c_str());
  }
  if (publication.sequenced || publication.refusal != 0) {
    world_.fail("the event %s: publication %u came twice or is not valid", id.c_str(),
                publication.number);
  }
  if (event->id != id || event->type != publication.event || event->data != publication.data ||
      event->retry != publication.retry || topic != topic_name(publication.topic)) {
    world_.fail("the event %s differs from publication %u", id.c_str(), publication.number);
  }
  publication.sequenced = true;
  truth_.push_back({header.id, &publication, std::string(frame)});
  world_.trace("event %zu is %s: publication %u, topic %u, %u bytes", truth_.size() - 1, id.c_str(),
               publication.number, publication.topic, header.frame_bytes);
}

void Model::on_delivered(std::span<const std::byte> bytes) {
  const auto [header, topic, rest] = read_record(bytes);
  if (header.kind == hub::RecordKind::sign_out) return;
  const std::string id = to_string(header.id);
  const EventId newest = delivered_.empty() ? floor_ : delivered_.back().id;
  if (header.id <= newest) {
    world_.fail("the hub delivers %s after %s", id.c_str(), to_string(newest).c_str());
  }
  if (delivered_.empty()) next_delivery_ = count_up_to(floor_);
  const std::uint64_t bytes_before =
      delivered_.empty() ? 0 : delivered_.back().bytes_before + delivered_.back().frame_bytes;
  const std::size_t must_come = std::max(next_delivery_, certain_delivery_);
  if (header.kind == hub::RecordKind::gap) {
    hub::HoleRecord hole;
    std::memcpy(&hole, rest.data(), sizeof hole);
    if (hole.newest < newest) world_.fail("a hole begins at %s", to_string(hole.newest).c_str());
    certain_delivery_ = hole.has_oldest ? count_before(hole.oldest) : trimmed_;
    if (certain_delivery_ > trimmed_) world_.fail("the hole %s hides what is kept", id.c_str());
    any_hole_ = true;
    world_.trace("hole %s: after %s, up to %s", id.c_str(), to_string(hole.newest).c_str(),
                 hole.has_oldest ? to_string(hole.oldest).c_str() : "what comes");
    delivered_.push_back({header.id, bytes_before, 0, true});
    return;
  }
  const auto ordinal = find(header.id);
  if (!ordinal || *ordinal < next_delivery_ || *ordinal > must_come) {
    world_.fail("the hub delivers %s, not event %zu", id.c_str(), must_come);
    return;
  }
  if (rest != truth_[*ordinal].frame || topic != topic_name(truth_[*ordinal].publication->topic)) {
    world_.fail("the hub delivers %s differently from what is stored", id.c_str());
  }
  next_delivery_ = *ordinal + 1;
  delivered_.push_back({header.id, bytes_before, header.frame_bytes, false});
}

bool Model::is_hole(EventId id) const {
  return std::any_of(delivered_.begin(), delivered_.end(),
                     [&](const Delivered& one) { return one.is_hole && one.id == id; });
}

std::size_t Model::count_before(EventId id) const {
  const auto first = std::lower_bound(truth_.begin(), truth_.end(), id,
                                      [](const TruthEvent& a, EventId b) { return a.id < b; });
  return static_cast<std::size_t>(first - truth_.begin());
}

std::size_t Model::count_up_to(EventId id) const {
  const auto after = std::upper_bound(truth_.begin(), truth_.end(), id,
                                      [](EventId a, const TruthEvent& b) { return a < b.id; });
  return static_cast<std::size_t>(after - truth_.begin());
}

std::optional<std::size_t> Model::find(EventId id) const {
  const std::size_t count = count_up_to(id);
  if (count == 0 || truth_[count - 1].id != id) return std::nullopt;
  return count - 1;
}

std::uint64_t Model::frame_bytes(std::size_t from, std::size_t to) const {
  if (from == to) return 0;
  const Delivered& last = delivered_[to - 1];
  return last.bytes_before + last.frame_bytes - delivered_[from].bytes_before;
}

std::optional<std::size_t> Model::first_for(TopicMask topics, std::size_t from,
                                            std::size_t to) const {
  for (std::size_t i = from; i < std::min(to, truth_.size()); ++i) {
    if (((topics | 1u) >> truth_[i].publication->topic & 1u) != 0) return i;
  }
  return std::nullopt;
}

}  // namespace ringcast::sim
