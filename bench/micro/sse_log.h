#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ringcast/sse/broadcast_log.h"
#include "ringcast/sse/gather.h"

namespace ringcast::bench {

/// A log that is fed with events of about 120 bytes, with the newest event of each topic at hand as
/// a shard has it.
class FilledLog {
 public:
  FilledLog(const sse::LogOptions& options, std::uint32_t topics)
      : log_(std::move(sse::BroadcastLog::create(options)).value()),
        newest_(topics, sse::kNoOrdinal) {
    const sse::EventFields fields{.event = "tick", .data = data_};
    frame_.resize(sse::frame_size(kId, fields).bytes);
    chunk_head_bytes_ = sse::encode_frame(kId, fields, frame_).chunk_head_bytes;
  }

  void append(std::uint32_t topic) {
    while (!log_->has_room(frame_.size())) log_->evict();
    newest_[topic] = log_->append(EventId{kId.ms, ++sequence_}, sse::TopicId{topic}, frame_,
                                  chunk_head_bytes_, newest_[topic]);
  }
  void append_any(std::size_t events) {
    for (; events > 0; --events) append(static_cast<std::uint32_t>(random_() % newest_.size()));
  }

  [[nodiscard]] const sse::BroadcastLog& log() const { return *log_; }
  [[nodiscard]] std::vector<sse::TopicNews> news(std::uint32_t topics) const {
    std::vector<sse::TopicNews> news;
    for (std::uint32_t id = 0; id < topics; ++id) news.push_back({sse::TopicId{id}, newest_[id]});
    return news;
  }

 private:
  static constexpr EventId kId{1'700'000'000'000, 0};

  std::unique_ptr<sse::BroadcastLog> log_;
  std::vector<sse::Ordinal> newest_;
  std::string data_ = std::string(64, 'x');
  std::vector<std::byte> frame_;
  std::uint8_t chunk_head_bytes_ = 0;
  std::uint64_t sequence_ = 0;
  std::mt19937 random_{1};
};

}  // namespace ringcast::bench
