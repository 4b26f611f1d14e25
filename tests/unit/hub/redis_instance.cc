#include "redis_instance.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "ringcast/base/assert.h"
#include "ringcast/base/time.h"

namespace ringcast::test {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

bool FakeSink::take_room() {
  if (room == 0) return false;
  if (room != SIZE_MAX) --room;
  return true;
}

bool FakeSink::reserve(const hub::Publication&) {
  if (room == 0) return false;
  reserved_ = true;
  return true;
}

void FakeSink::deliver(EventId id, const hub::Publication& publication) {
  EXPECT_TRUE(std::exchange(reserved_, false)) << "delivered without room";
  EXPECT_TRUE(take_room());
  EXPECT_LT(newest_, id) << "the order of IDs";
  newest_ = id;
  delivered.push_back({.kind = Delivered::Kind::event,
                       .id = id,
                       .event = std::string(publication.event),
                       .data = std::string(publication.data),
                       .topic = std::string(publication.topic),
                       .retry_ms = publication.retry_ms});
}

bool FakeSink::deliver_sign_out(std::string_view topic, const hub::SignOut& what) {
  if (!take_room()) return false;
  delivered.push_back(
      {.kind = Delivered::Kind::sign_out, .topic = std::string(topic), .sign_out = what});
  return true;
}

bool FakeSink::deliver_gap(const Hole& hole) {
  if (!take_room()) return false;
  EXPECT_LT(newest_, hole.id) << "the order of IDs";
  newest_ = hole.id;
  delivered.push_back({.kind = Delivered::Kind::gap, .id = hole.id, .hole = hole});
  return true;
}

void FakeSink::answer(const hub::Ticket& ticket, Answer answer) {
  const bool first = answers.emplace(ticket.serial, std::move(answer)).second;
  EXPECT_TRUE(first) << "a second answer to " << ticket.serial;
}

std::vector<std::string> FakeSink::data() const {
  std::vector<std::string> all;
  for (const Delivered& one : delivered) {
    if (one.kind == Delivered::Kind::event) all.push_back(one.data);
  }
  return all;
}

std::size_t FakeSink::gaps() const {
  return static_cast<std::size_t>(
      std::ranges::count(delivered, Delivered::Kind::gap, &Delivered::kind));
}

Instance::Instance(const RedisServer& server,
                   const std::function<void(hub::RedisStoreOptions&)>& change) {
  auto ring = uring::Ring::create({.submissions = 64, .slots = 8, .receive_buffers = 8});
  RC_ASSERT(ring.ok());
  ring_ = std::move(ring).value();
  static std::uint64_t instances = 0;
  hub::RedisStoreOptions options{.redis = {.url = server.socket_url()}, .instance = ++instances};
  if (change) change(options);
  store_ = std::make_unique<hub::RedisStore>(options, counters);
  store_->attach(sink, *ring_);
}

void Instance::turn() {
  ring_->wait(milliseconds(1));
  const Time now = read_clock();
  uring::Completion completion;
  while (ring_->next(completion)) {
    if (completion.operation != uring::Operation::wake) store_->on_completion(completion, now);
  }
  const hub::EventStore::Next next = store_->turn(now);
  no_room = next.no_room;
  wait = next.wait;
}

hub::Ticket Instance::ticket(hub::RecordKind kind) {
  return {.shard = 0, .kind = kind, .origin = {}, .serial = ++serial_};
}

std::uint32_t Instance::publish(const hub::Publication& publication) {
  EXPECT_TRUE(store_->append(ticket(hub::RecordKind::event), publication, read_clock()));
  return serial_;
}

std::uint32_t Instance::sign_out(std::string_view topic, const hub::SignOut& what) {
  EXPECT_TRUE(store_->sign_out(ticket(hub::RecordKind::sign_out), topic, what, read_clock()));
  return serial_;
}

std::uint32_t Instance::ask_history(EventId after) {
  EXPECT_TRUE(store_->history(ticket(hub::RecordKind::history), after, read_clock()));
  return serial_;
}

const hub::EventSink::Answer* Instance::answer(std::uint32_t serial) const {
  const auto found = sink.answers.find(serial);
  return found == sink.answers.end() ? nullptr : &found->second;
}

std::optional<hub::Outcome> Instance::outcome(std::uint32_t serial) const {
  const auto* found = answer(serial);
  return found == nullptr ? std::nullopt : std::optional(found->outcome);
}

bool Instance::is_up() const {
  return counters.commands_connected.get() == 1 && hub::readiness(counters).empty();
}

bool until(std::initializer_list<Instance*> instances, const std::function<bool()>& done,
           milliseconds limit) {
  const auto end = steady_clock::now() + limit;
  while (!done()) {
    if (steady_clock::now() >= end) return done();
    for (Instance* instance : instances) instance->turn();
  }
  return true;
}

void run_for(std::initializer_list<Instance*> instances, milliseconds time) {
  (void)until(
      instances, [] { return false; }, time);
}

std::vector<Entry> entries(RedisClient& client) {
  std::vector<Entry> all;
  for (const RedisValue& value : client({"XRANGE", "ringcast:events", "-", "+"}).list) {
    Entry entry{.id = parse_event_id(value[0].text).value_or(EventId{}), .fields = {}};
    for (std::size_t i = 0; i + 1 < value[1].list.size(); i += 2) {
      entry.fields[value[1][i].text] = value[1][i + 1].text;
    }
    all.push_back(std::move(entry));
  }
  return all;
}

EventId add(RedisClient& client, std::initializer_list<std::string> fields) {
  std::vector<std::string> words{"XADD", "ringcast:events", "*"};
  words.insert(words.end(), fields.begin(), fields.end());
  const RedisValue value = client(words);
  const auto id = parse_event_id(value.text);
  EXPECT_TRUE(id) << value.text;
  return id.value_or(EventId{});
}

std::string client_number(RedisClient& client, std::string_view name) {
  const std::string list = client({"CLIENT", "LIST"}).text;
  const std::size_t at = list.find(" name=" + std::string(name) + " ");
  if (at == std::string::npos) return {};
  const std::size_t id = list.rfind("id=", at) + 3;
  return list.substr(id, list.find(' ', id) - id);
}

Sender::Sender(const RedisServer& server) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = server.socket();
  RC_ASSERT(path.size() < sizeof address.sun_path);
  std::memcpy(address.sun_path, path.data(), path.size());
  RC_ASSERT(::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  // Redis has taken it when it has answered once.
  send("PING");
  char pong[16];
  RC_ASSERT(::recv(fd_, pong, sizeof pong, 0) > 0);
}

Sender::~Sender() {
  ::close(fd_);
}

void Sender::send(std::string_view line) {
  const std::string text = std::string(line) + "\r\n";
  RC_ASSERT(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
}

}  // namespace ringcast::test
