/// What a request costs before anything is done with it: one connection's parser, reused.

#include <cstdint>
#include <string>
#include <string_view>

#include <benchmark/benchmark.h>

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

void stream_head(benchmark::State& state) {
  http::DateCache dates;
  std::string out;
  http::write_stream_head(out, 1, dates.at({}));
  const std::uint64_t allocations = test::allocations();
  for ([[maybe_unused]] const auto round : state) {
    out.clear();
    http::write_stream_head(out, 1, dates.at({}));
    benchmark::DoNotOptimize(out.data());
  }
  state.counters["allocations"] = benchmark::Counter(
      static_cast<double>(test::allocations() - allocations), benchmark::Counter::kAvgIterations);
}
BENCHMARK(stream_head);

}  // namespace
