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
    if (publication.refused && publication.sequenced) {
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

}  // namespace

void Model::on_event(std::span<const std::byte> record) {
  hub::EventRecord header;
  std::memcpy(&header, record.data(), sizeof header);
  const auto* text = reinterpret_cast<const char*>(record.data()) + sizeof header;
  const std::string_view topic(text, header.topic_bytes);
  const std::string_view frame(text + header.topic_bytes, header.frame_bytes);

  FrameSink sink;
  ResponseReader reader(sink);
  reader.feed("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n");
  reader.feed(frame);
  const std::string id = to_string(header.id);
  const auto event = sink.event();
  const auto number = event ? number_of(*event) : std::nullopt;
  if (!number || *number >= publications_.size()) {
    world_.fail("the hub's event %s is no publication: %s", id.c_str(), std::string(frame).c_str());
    return;
  }
  Publication& publication = publications_[*number];
  if (header.id <= before(truth_.size())) {
    world_.fail("the hub's event %s is not newer than %s", id.c_str(),
                to_string(before(truth_.size())).c_str());
  }
  if (publication.sequenced || publication.refusal != 0) {
    world_.fail("the hub's event %s: publication %u came twice or is not valid", id.c_str(),
                *number);
  }
  if (event->id != id || event->type != publication.event || event->data != publication.data ||
      event->retry != publication.retry || topic != topic_name(publication.topic)) {
    world_.fail("the hub's event %s differs from publication %u", id.c_str(), *number);
  }
  publication.sequenced = true;
  const std::uint64_t bytes_before =
      truth_.empty() ? 0 : truth_.back().bytes_before + truth_.back().frame_bytes;
  truth_.push_back({header.id, &publication, bytes_before, header.frame_bytes});
  world_.trace("event %zu is %s: publication %u, topic %u, %u bytes", truth_.size() - 1, id.c_str(),
               *number, publication.topic, header.frame_bytes);
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
  return truth_[to - 1].bytes_before + truth_[to - 1].frame_bytes - truth_[from].bytes_before;
}

std::optional<std::size_t> Model::first_for(TopicMask topics, std::size_t from,
                                            std::size_t to) const {
  for (std::size_t i = from; i < std::min(to, truth_.size()); ++i) {
    if (((topics | 1u) >> truth_[i].publication->topic & 1u) != 0) return i;
  }
  return std::nullopt;
}

}  // namespace ringcast::sim
