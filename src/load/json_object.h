#pragma once

#include <cinttypes>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "load/histogram.h"
#include "load/meter.h"
#include "load/text.h"

namespace ringcast::load {

/// Writes one JSON object into a string; ends it when it goes.
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_ += '{'; }
  ~JsonObject() { out_ += '}'; }
  JsonObject(const JsonObject&) = delete;
  JsonObject& operator=(const JsonObject&) = delete;

  /// A key may hold anything. The inner object ends before the next member is written.
  [[nodiscard]] JsonObject object(std::string_view key) {
    name(key);
    return JsonObject(out_);
  }
  void truth(std::string_view key, bool value) {
    name(key);
    out_ += value ? "true" : "false";
  }
  void number(std::string_view key, std::uint64_t value) {
    name(key);
    put(out_, "%" PRIu64, value);
  }
  void real(std::string_view key, double value) {
    name(key);
    put(out_, "%.6g", value);
  }
  /// Nothing when it is not known.
  void real(std::string_view key, const std::optional<double>& value) {
    if (value) real(key, *value);
  }
  void text(std::string_view key, std::string_view value) {
    name(key);
    quote(value);
  }
  void threads(std::string_view key, const ThreadUse& from, const ThreadUse& to) {
    JsonObject inner = object(key);
    for (const auto& [thread, ns] : to) inner.real(thread, growth(used(from, thread), ns));
  }
  void microseconds(std::string_view key, const Histogram& h) {
    JsonObject inner = object(key);
    inner.number("count", h.count());
    inner.real("p50", micro(h.quantile(0.5)));
    inner.real("p90", micro(h.quantile(0.9)));
    inner.real("p99", micro(h.quantile(0.99)));
    inner.real("p999", micro(h.quantile(0.999)));
    inner.real("max", micro(h.max()));
  }

 private:
  void name(std::string_view key) {
    if (!first_) out_ += ',';
    first_ = false;
    quote(key);
    out_ += ':';
  }
  void quote(std::string_view value) {
    out_ += '"';
    for (const char c : value) {
      if (c == '"' || c == '\\') {
        out_ += '\\';
        out_ += c;
      } else if (static_cast<unsigned char>(c) < 0x20) {
        put(out_, "\\u%04x", static_cast<unsigned>(c));
      } else {
        out_ += c;
      }
    }
    out_ += '"';
  }

  std::string& out_;
  bool first_ = true;
};

}  // namespace ringcast::load
