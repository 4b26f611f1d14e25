#include "log_server.h"

#include <cerrno>
#include <utility>

#include <sys/socket.h>

namespace ringcast::load {

/// Forgets those whose client has ended them.
std::size_t LogServer::streams_there() {
  std::erase_if(streams_, [](const Stream& stream) {
    char byte = 0;
    const ssize_t read = recv(stream.connection, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return read == 0 || (read < 0 && errno != EAGAIN);
  });
  return streams_.size();
}

void LogServer::on_stream(int connection, const std::string& request) {
  const std::string id = header(request, "Last-Event-ID");
  requests_.push_back({.is_event = false, .id = id, .topic = {}, .streams_there = streams_there()});
  Stream stream{.connection = connection, .topic = {}};
  if (const std::size_t at = request.find("topic="); at != std::string::npos) {
    stream.topic = request.substr(at + 6, request.find(' ', at) - at - 6);
  }
  write_head(connection);
  std::size_t from = log_.size();
  for (std::size_t event = 0; event < log_.size(); ++event) {
    if (id_of(event) == id) from = event + 1;
  }
  if (id == "start") from = 0;
  if (behaviour_.tells_position) {
    const std::string position = from == 0 ? "start" : id_of(from - 1);
    write(connection, "event: heartbeat\nid: " + position + "\ndata:\n\n");
  }
  std::vector<std::string> frames;
  for (std::size_t event = from; event < log_.size(); ++event) {
    if (stream.gets(log_[event]) && !behaviour_.loses(opened_, event)) {
      frames.push_back(log_[event].frame);
    }
  }
  if (behaviour_.replays_backwards) frames = {frames.rbegin(), frames.rend()};
  for (const std::string& frame : frames) write(connection, frame);
  streams_.push_back(std::move(stream));
  ++opened_;
}

void LogServer::on_event(const std::string&, const std::string& data, const std::string& topic) {
  requests_.push_back(
      {.is_event = true, .id = {}, .topic = topic, .streams_there = streams_there()});
  std::string frame = behaviour_.gives_ids ? "id: " + id_of(log_.size()) + "\n" : std::string{};
  frame += "data: " + data + "\n\n";
  log_.push_back({.topic = topic, .frame = std::move(frame)});
  for (const Stream& stream : streams_) {
    if (stream.gets(log_.back())) write(stream.connection, log_.back().frame);
  }
}

}  // namespace ringcast::load
