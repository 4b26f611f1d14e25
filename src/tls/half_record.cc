#include "ringcast/tls/half_record.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "ringcast/base/assert.h"

namespace ringcast::tls {

HalfRecord::HalfRecord(std::size_t record_bytes_max)
    : body_bytes_max_(
          static_cast<std::uint16_t>(std::min(record_bytes_max, kRecordBytesMax) - kHeaderBytes)) {
  RC_ASSERT(record_bytes_max > kRecordOverheadBytes);
}

HalfRecord::HalfRecord(HalfRecord&& other) noexcept
    : body_(std::move(other.body_)),
      body_bytes_max_(other.body_bytes_max_),
      body_size_(std::exchange(other.body_size_, std::uint16_t{0})),
      header_(other.header_),
      header_size_(std::exchange(other.header_size_, std::uint8_t{0})) {}

HalfRecord& HalfRecord::operator=(HalfRecord&& other) noexcept {
  if (this == &other) return *this;
  body_ = std::move(other.body_);
  body_bytes_max_ = other.body_bytes_max_;
  body_size_ = std::exchange(other.body_size_, std::uint16_t{0});
  header_ = other.header_;
  header_size_ = std::exchange(other.header_size_, std::uint8_t{0});
  return *this;
}

bool HalfRecord::take_header(std::span<const std::byte>& input) {
  const std::size_t bytes = std::min(kHeaderBytes - header_size_, input.size());
  if (bytes > 0) std::memcpy(header_.data() + header_size_, input.data(), bytes);
  header_size_ = static_cast<std::uint8_t>(header_size_ + bytes);
  input = input.subspan(bytes);
  return header_size_ == kHeaderBytes;
}

bool HalfRecord::take_body(std::span<const std::byte>& input) {
  const std::size_t whole = body_bytes();
  const std::size_t bytes = std::min(whole - body_size_, input.size());
  if (bytes == 0) return false;  // a body has at least a tag
  if (body_ == nullptr) body_ = std::make_unique_for_overwrite<std::byte[]>(whole);
  std::memcpy(body_.get() + body_size_, input.data(), bytes);
  body_size_ = static_cast<std::uint16_t>(body_size_ + bytes);
  input = input.subspan(bytes);
  return body_size_ == whole;
}

void HalfRecord::clear() {
  body_.reset();
  body_size_ = 0;
  header_size_ = 0;
}

}  // namespace ringcast::tls
