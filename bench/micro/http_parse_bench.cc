/// What a request costs before anything is done with it: one connection's parser, reused.

#include <cstdint>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>

#include "ringcast/http/cors.h"
#include "ringcast/http/origin.h"
#include "ringcast/http/request.h"
#include "ringcast/http/response.h"

#include "allocation_counter.h"

namespace {

using namespace ringcast;

constexpr http::ParserLimits kLimits{8192, 65536};

std::string stream_request() {
  return "GET /events?topic=orders&topic=news HTTP/1.1\r\n"
         "Host: push.example.com\r\n"
         "Connection: keep-alive\r\n"
         "sec-ch-ua: \"Chromium\";v=\"120\", \"Not?A_Brand\";v=\"8\"\r\n"
         "Accept: text/event-stream\r\n"
         "Cache-Control: no-cache\r\n"
         "sec-ch-ua-mobile: ?0\r\n"
         "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
         "Chrome/120.0.0.0 Safari/537.36\r\n"
         "Origin: https://app.example.com\r\n"
         "Sec-Fetch-Site: same-site\r\n"
         "Sec-Fetch-Mode: cors\r\n"
         "Referer: https://app.example.com/dashboard\r\n"
         "Accept-Encoding: gzip, deflate, br\r\n"
         "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
         "Last-Event-ID: 1700000000000-42\r\n"
         "Cookie: token=" +
         std::string(200, 'j') + "\r\n\r\n";
}

std::string publish_request() {
  const std::string body = R"({"event":"install","data":")" + std::string(200, 'd') + "\"}";
  return "POST /publish HTTP/1.1\r\nHost: push.example.com\r\nContent-Type: application/json\r\n"
         "Authorization: Bearer " +
         std::string(200, 'j') + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}

std::string chunked_request() {
  std::string bytes =
      "POST /publish HTTP/1.1\r\nHost: push.example.com\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n";
  for (int chunk = 0; chunk < 4; ++chunk) bytes += "40\r\n" + std::string(64, 'd') + "\r\n";
  return bytes + "0\r\n\r\n";
}

/// Each round is one request that arrives in pieces of `range(0)` bytes.
void parse(benchmark::State& state, const std::string& bytes) {
  const auto piece = static_cast<std::size_t>(state.range(0));
  http::RequestParser parser(kLimits);
  const auto parse_once = [&] {
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      benchmark::DoNotOptimize(parser.feed(std::string_view(bytes).substr(at, piece)));
    }
  };
  parse_once();
  parser.reset();
  const std::uint64_t allocations = test::allocations();
  for ([[maybe_unused]] const auto round : state) {
    parse_once();
    if (parser.state() != http::ParseState::complete) {
      state.SkipWithError("the request was not read to its end");
      break;
    }
    parser.reset();
  }
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - allocations), benchmark::Counter::kAvgIterations);
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(bytes.size()));
}

constexpr std::int64_t kWhole = 1 << 20;

BENCHMARK_CAPTURE(parse, stream, stream_request())->Arg(kWhole)->Arg(64)->Arg(1);
BENCHMARK_CAPTURE(parse, publish, publish_request())->Arg(kWhole)->Arg(64);
BENCHMARK_CAPTURE(parse, chunked, chunked_request())->Arg(kWhole)->Arg(64);

const http::Origin& origin() {
  static const http::Origin app{"https://app.example.com"};
  return app;
}

http::CorsPolicy cross_origin_policy() {
  return http::CorsPolicy({.allow_origins = {"https://*.example.org", "https://app.example.com",
                                             "https://shop.example.com", "http://localhost:5173"},
                           .allow_credentials = true,
                           .max_age_seconds = 600});
}

std::string cross_origin_lines() {
  std::string lines;
  cross_origin_policy().append_lines(lines, &origin());
  return lines;
}

/// From the header of a request to the lines of its answer.
void cross_origin(benchmark::State& state) {
  const http::CorsPolicy policy = cross_origin_policy();
  std::string out = cross_origin_lines();
  for ([[maybe_unused]] const auto round : state) {
    out.clear();
    std::string_view text = "https://app.example.com";
    benchmark::DoNotOptimize(text);
    const auto parsed = http::parse_origin(text);
    if (!parsed || !policy.allows(*parsed)) {
      state.SkipWithError("the origin was refused");
      break;
    }
    policy.append_lines(out, &*parsed);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(cross_origin);

void stream_head(benchmark::State& state) {
  http::DateCache dates;
  const std::string lines = cross_origin_lines();
  const auto head = [&] {
    return http::HeadFields{.date = dates.at({}), .keep_alive = true, .lines = lines};
  };
  std::string out;
  http::write_stream_head(out, 1, head());
  const std::uint64_t allocations = test::allocations();
  for ([[maybe_unused]] const auto round : state) {
    out.clear();
    http::write_stream_head(out, 1, head());
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - allocations), benchmark::Counter::kAvgIterations);
}
BENCHMARK(stream_head);

}  // namespace
