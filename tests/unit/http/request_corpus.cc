#include "request_corpus.h"

namespace ringcast::http::test {
namespace {

using namespace std::string_literals;

std::string get(const std::string& fields) {
  return "GET /events HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
}

std::string post(const std::string& fields, const std::string& body) {
  return "POST /publish HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}

std::string chunked(const std::string& body) {
  return post("Transfer-Encoding: chunked\r\n", body);
}

constexpr std::string_view kTogether = "Content-Length and Transfer-Encoding together";
constexpr std::string_view kTwoLengths = "more than one Content-Length";
constexpr std::string_view kBadLength = "malformed Content-Length";
constexpr std::string_view kTwoEncodings = "more than one Transfer-Encoding";
constexpr std::string_view kOnlyChunked = "the only Transfer-Encoding accepted is chunked";
constexpr std::string_view kBadName = "malformed header name";
constexpr std::string_view kBadTarget = "malformed request target";
constexpr std::string_view kBadLine = "malformed request line";
constexpr std::string_view kBadChunk = "malformed chunk size";
constexpr std::string_view kBadExtension = "malformed chunk extension";
constexpr std::string_view kNoChunkEnd = "no CRLF after a chunk";
constexpr std::string_view kControl = "control character in a line";
constexpr std::string_view kBareLf = "a line ends with LF instead of CRLF";
constexpr std::string_view kBareCr = "CR without LF";
constexpr std::string_view kFolded = "folded header line";
constexpr std::string_view kBadHost = "malformed Host";
constexpr std::string_view kOtherVersion = "only HTTP/1.1 and HTTP/1.0 are spoken here";
constexpr std::string_view kHeadTooLarge = "request head too large";
constexpr std::string_view kBodyTooLarge = "body too large";

}  // namespace

const std::vector<Sample>& good_samples() {
  static const std::vector<Sample> samples = {
      {"browser",
       "GET /events?topic=a&topic=b HTTP/1.1\r\nHost: x.example:8080\r\nConnection: keep-alive\r\n"
       "Accept: text/event-stream\r\nOrigin: https://app.example\r\nLast-Event-ID: 17-0\r\n"
       "Cache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n\r\n"},
      {"http10", "GET / HTTP/1.0\r\n\r\n"},
      {"http10_keep_alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"},
      {"http10_both", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"},
      {"close", get("Connection: foo, Close\r\n")},
      {"empty_host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
      {"leading_empty_lines", "\r\n\r\n" + get("")},
      {"absolute", "GET http://b:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"absolute_without_path", "GET HTTPS://b?q HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"options_star", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"lower_case_method", "get / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"long_method", std::string(300, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"odd_space_around_others", get("Accept: \t  text/event-stream \t\r\nX:\r\n")},
      {"obs_text", get("X: \xff\xc3\xa9\r\n")},
      {"signed_in", get("Cookie: a=1; token=x.y.z\r\nAuthorization: Bearer x.y.z\r\n"
                        "Sec-Fetch-Site: same-origin\r\n")},
      {"through_a_proxy", get("X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n")},
      {"through_several_proxies",
       get("X-Forwarded-For: 192.0.2.7, 10.0.0.1\r\nX-Forwarded-Proto: http\r\n"
           "x-forwarded-for: 10.0.0.2\r\nX-Forwarded-Proto: http, https \r\n"
           "X-Forwarded-For:\r\n")},
      {"preflight",
       "OPTIONS /publish HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example\r\n"
       "Access-Control-Request-Method: POST\r\n"
       "Access-Control-Request-Headers: authorization,content-type\r\n\r\n"},
      {"length_zero", post("Content-Length: 0\r\n", "")},
      {"length", post("Content-Length: 5\r\n", "hello")},
      {"length_without_space", post("Content-Length:5\r\n", "he\0\r\n"s)},
      {"length_with_zeros", post("Content-Length: 0005\r\n", "hello")},
      {"length_at_limit", post("Content-Length: 64\r\n", std::string(64, 'b'))},
      {"expect", post("Expect: 100-Continue\r\nContent-Length: 2\r\n", "ok")},
      {"pipelined", post("Content-Length: 2\r\n", "ok") + get("")},
      {"chunked", chunked("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")},
      {"chunked_empty", chunked("0\r\n\r\n")},
      {"chunked_letters", chunked("A\r\n0123456789\r\n0b\r\n01234567890\r\n000\r\n\r\n")},
      {"chunked_mixed_case", post("transfer-encoding: Chunked\r\n", "1\r\nx\r\n0\r\n\r\n")},
      {"chunked_extensions", chunked("5;a;b=c;d=\"e f\"\r\nhello\r\n0;z\r\n\r\n")},
      {"chunked_trailers", chunked("1\r\nx\r\n0\r\nA: b\r\nContent-Length: 9\r\n"
                                   "Connection: close\r\nTransfer-Encoding: gzip\r\n\r\n")},
      {"chunked_pipelined", chunked("1\r\nx\r\n0\r\n\r\n") + "\r\n" + get("")},
      {"chunked_at_limit", chunked("20\r\n" + std::string(32, 'a') + "\r\n20\r\n" +
                                   std::string(32, 'b') + "\r\n0\r\n\r\n")},
  };
  return samples;
}

const std::vector<Sample>& bad_samples() {
  static const std::vector<Sample> samples = {
      // Two answers to where the body ends.
      {"length_then_encoding",
       post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400, kTogether},
      {"encoding_then_length",
       post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400, kTogether},
      {"ignored_encoding_then_length",
       post("Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", "hello"), 400, kOnlyChunked},
      {"two_lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), 400,
       kTwoLengths},
      {"two_equal_lengths", post("Content-Length: 5\r\ncontent-length: 5\r\n", "hello"), 400,
       kTwoLengths},
      {"length_list", post("Content-Length: 5, 5\r\n", "hello"), 400, kBadLength},
      {"length_list_mixed", post("Content-Length: 5, 6\r\n", "hello"), 400, kBadLength},
      {"length_plus", post("Content-Length: +5\r\n", "hello"), 400, kBadLength},
      {"length_minus", post("Content-Length: -5\r\n", "hello"), 400, kBadLength},
      {"length_inner_space", post("Content-Length: 5 5\r\n", "hello"), 400, kBadLength},
      {"length_two_spaces", post("Content-Length:  5\r\n", "hello"), 400, kBadLength},
      {"length_space_behind", post("Content-Length: 5 \r\n", "hello"), 400, kBadLength},
      {"length_tab", post("Content-Length:\t5\r\n", "hello"), 400, kBadLength},
      {"length_hex", post("Content-Length: 0x5\r\n", "hello"), 400, kBadLength},
      {"length_fraction", post("Content-Length: 5.0\r\n", "hello"), 400, kBadLength},
      {"length_empty", post("Content-Length:\r\n", ""), 400, kBadLength},
      {"length_over_64_bits", post("Content-Length: 18446744073709551621\r\n", "hello"), 400,
       kBadLength},
      {"length_too_large", post("Content-Length: 65\r\n", std::string(65, 'b')), 413,
       kBodyTooLarge},
      {"encoding_list", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400,
       kOnlyChunked},
      {"encoding_chunked_first", post("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 400,
       kOnlyChunked},
      {"encoding_twice_in_list", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400,
       kOnlyChunked},
      {"encoding_twice",
       post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400,
       kTwoEncodings},
      {"encoding_identity", post("Transfer-Encoding: identity\r\n", "0\r\n\r\n"), 400,
       kOnlyChunked},
      {"encoding_empty", post("Transfer-Encoding:\r\n", "0\r\n\r\n"), 400, kOnlyChunked},
      {"encoding_prefixed", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 400,
       kOnlyChunked},
      {"encoding_quoted", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 400,
       kOnlyChunked},
      {"encoding_tab", post("Transfer-Encoding:\tchunked\r\n", "0\r\n\r\n"), 400, kOnlyChunked},
      {"encoding_two_spaces", post("Transfer-Encoding:  chunked\r\n", "0\r\n\r\n"), 400,
       kOnlyChunked},
      {"encoding_space_behind", post("Transfer-Encoding: chunked \r\n", "0\r\n\r\n"), 400,
       kOnlyChunked},
      {"encoding_vertical_tab", post("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"), 400,
       kControl},
      {"encoding_parameter", post("Transfer-Encoding: chunked;a=b\r\n", "0\r\n\r\n"), 400,
       kOnlyChunked},
      {"encoding_http10", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
       "Transfer-Encoding on HTTP/1.0"},
      // Lines.
      {"space_before_colon", post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400, kBadName},
      {"tab_before_colon", get("Accept\t: a\r\n"), 400, kBadName},
      {"no_colon", get("Accept\r\n"), 400, kBadName},
      {"empty_name", get(": a\r\n"), 400, kBadName},
      {"space_in_name", get("Ac cept: a\r\n"), 400, kBadName},
      {"folded", get("X: a\r\n b\r\n"), 400, kFolded},
      {"folded_tab", post("Transfer-Encoding:\r\n\tchunked\r\n", "0\r\n\r\n"), 400, kFolded},
      {"folded_first_field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, kFolded},
      {"bare_lf_ends_line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400, kBareLf},
      {"bare_lf_ends_field", get("X: a\nTransfer-Encoding: chunked\r\n"), 400, kBareLf},
      {"bare_lf_ends_head", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400, kBareLf},
      {"bare_lf_first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, kBareLf},
      {"bare_cr_in_value", get("X: a\rY: b\r\n"), 400, kBareCr},
      {"two_cr", get("X: a\r\r\n"), 400, kBareCr},
      {"bare_cr_first", "\rGET / HTTP/1.1\r\n", 400, kBareCr},
      {"nul_in_value", get("X: a\0b\r\n"s), 400, "NUL in a line"},
      {"nul_in_target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"s, 400, "NUL in a line"},
      {"delete_in_value", get("X: a\x7f\r\n"), 400, kControl},
      {"escape_in_value", get("X: \x1b[0m\r\n"), 400, kControl},
      {"bad_connection", get("Connection: a b\r\n"), 400, "malformed header value"},
      // Fields that may stand once.
      {"no_host", "GET / HTTP/1.1\r\n\r\n", 400, "no Host"},
      {"no_host_absolute", "GET http://a/ HTTP/1.1\r\n\r\n", 400, "no Host"},
      {"two_hosts", get("Host: b\r\n"), 400, "more than one Host"},
      {"two_equal_hosts", get("host: a\r\n"), 400, "more than one Host"},
      {"host_list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, kBadHost},
      {"host_path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, kBadHost},
      {"host_user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, kBadHost},
      {"two_last_event_ids", get("Last-Event-ID: 1-0\r\nLAST-EVENT-ID: 2-0\r\n"), 400,
       "more than one Last-Event-ID"},
      {"two_origins", get("Origin: null\r\nOrigin: https://a\r\n"), 400, "more than one Origin"},
      {"two_authorizations", get("Authorization: Bearer a\r\nauthorization: Bearer b\r\n"), 400,
       "more than one Authorization"},
      {"two_equal_authorizations", get("Authorization: a\r\nAuthorization: a\r\n"), 400,
       "more than one Authorization"},
      {"authorization_after_an_empty_one", get("Authorization:\r\nAuthorization: Bearer b\r\n"),
       400, "more than one Authorization"},
      {"two_cookies", get("Cookie: token=a\r\nCOOKIE: token=b\r\n"), 400, "more than one Cookie"},
      {"two_content_types", get("Content-Type: a/b\r\nContent-Type: c/d\r\n"), 400,
       "more than one Content-Type"},
      // Request lines.
      {"tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, 400,
       "this port speaks plain HTTP, not TLS"},
      {"http2_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, kOtherVersion},
      {"http12", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, kOtherVersion},
      {"http09_version", "GET / HTTP/0.9\r\n\r\n", 505, kOtherVersion},
      {"http09", "GET /\r\n\r\n", 400, kBadTarget},
      {"version_two_digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, kBadLine},
      {"version_lower_case", "GET / http/1.1\r\nHost: a\r\n\r\n", 400, kBadLine},
      {"version_missing", "GET / \r\n\r\n", 400, kBadLine},
      {"version_then_space", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, kBadLine},
      {"two_spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, kBadTarget},
      {"tab_separated", "GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, "malformed method"},
      {"space_in_target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, kBadLine},
      {"space_first", " GET / HTTP/1.1\r\n", 400, kBadLine},
      {"garbage", "\x80\x2e\x01\x03\x01", 400, kBadLine},
      {"json", "{\"a\":1}\r\n", 400, kBadLine},
      {"only_empty_lines", "\r\n\r\n\r\n\r\n\r\n", 400, "empty lines instead of a request"},
      {"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, kBadTarget},
      {"relative_target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400, kBadTarget},
      {"connect", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", 400, kBadTarget},
      {"star_for_get", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, kBadTarget},
      {"absolute_user", "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, kBadTarget},
      {"absolute_empty_host", "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n", 400, kBadTarget},
      {"absolute_other_scheme", "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, kBadTarget},
      {"endless_method", std::string(2000, 'M'), 431, kHeadTooLarge},
      {"endless_field", get("X: " + std::string(2000, 'x') + "\r\n"), 431, kHeadTooLarge},
      // Chunks.
      {"chunk_not_hex", chunked("g\r\nhello\r\n0\r\n\r\n"), 400, kBadChunk},
      {"chunk_empty", chunked("\r\nhello\r\n0\r\n\r\n"), 400, kBadChunk},
      {"chunk_sign", chunked("+5\r\nhello\r\n0\r\n\r\n"), 400, kBadChunk},
      {"chunk_minus", chunked("-1\r\nhello\r\n0\r\n\r\n"), 400, kBadChunk},
      {"chunk_prefix", chunked("0x5\r\nhello\r\n0\r\n\r\n"), 400, kBadChunk},
      {"chunk_space_first", chunked(" 5\r\nhello\r\n0\r\n\r\n"), 400, kBadChunk},
      {"chunk_underscore", chunked("1_0\r\nhello\r\n0\r\n\r\n"), 400, kBadChunk},
      {"chunk_space_behind", chunked("5 \r\nhello\r\n0\r\n\r\n"), 400, kBadExtension},
      {"chunk_over_64_bits", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400, kBadChunk},
      {"chunk_huge", chunked("ffffffffffffffff\r\nhello"), 413, kBodyTooLarge},
      {"chunk_over_limit", chunked("41\r\n"), 413, kBodyTooLarge},
      {"chunks_add_up", chunked("20\r\n" + std::string(32, 'a') + "\r\n21\r\n"), 413,
       kBodyTooLarge},
      {"chunk_bare_lf", chunked("5\nhello\r\n0\r\n\r\n"), 400, kBadChunk},
      {"chunk_bare_cr", chunked("5\rx\nhello\r\n0\r\n\r\n"), 400, kBadChunk},
      {"chunk_nul", chunked("5\0\r\nhello\r\n0\r\n\r\n"s), 400, kBadChunk},
      {"chunk_end_missing", chunked("5\r\nhello0\r\n\r\n"), 400, kNoChunkEnd},
      {"chunk_end_lf", chunked("5\r\nhello\n0\r\n\r\n"), 400, kNoChunkEnd},
      {"chunk_end_cr", chunked("5\r\nhello\rX0\r\n\r\n"), 400, kNoChunkEnd},
      {"chunk_longer_than_size", chunked("3\r\nhello\r\n0\r\n\r\n"), 400, kNoChunkEnd},
      {"chunk_extension_too_long", chunked("1;" + std::string(300, 'e') + "\r\nx\r\n0\r\n\r\n"),
       400, "chunk size line too long"},
      {"chunk_extension_nameless", chunked("1;\r\nx\r\n0\r\n\r\n"), 400, kBadExtension},
      {"chunk_extension_open_quote", chunked("1;a=\"\r\nx\r\n0\r\n\r\n"), 400, kBadExtension},
      {"chunk_extension_open_quote_last", chunked("0;a=\"\r\n\r\n"), 400, kBadExtension},
      {"chunk_extension_quote_over_lines", chunked("0;a=\"\r\nX: \"\r\n\r\n"), 400, kBadExtension},
      {"trailer_without_colon", chunked("0\r\nabc\r\n\r\n"), 400, "malformed trailer"},
      {"trailer_folded", chunked("0\r\nA: b\r\n c: d\r\n\r\n"), 400, "malformed trailer"},
      {"trailer_bare_lf", chunked("0\r\nA: b\n\r\n"), 400, kBareLf},
      {"trailer_nul", chunked("0\r\nA: \0\r\n\r\n"s), 400, "NUL in a line"},
      {"trailers_endless", chunked("0\r\nA: " + std::string(2000, 'x')), 431, "trailers too large"},
  };
  return samples;
}

std::string describe(const RequestParser& parser) {
  const Request& r = parser.request();
  std::string text = "state " + std::to_string(static_cast<int>(parser.state()));
  text += parser.started() ? " started" : " not started";
  if (parser.state() == ParseState::failed) {
    text += " status " + std::to_string(parser.failure().status) + ": ";
    return text.append(parser.failure().reason);
  }
  text += " method " + std::to_string(static_cast<int>(r.method));
  text += " minor " + std::to_string(r.minor_version) + (r.keep_alive ? " keep" : " close");
  text += r.last_event_id ? " last=" + std::string(*r.last_event_id) : " no last";
  for (const std::string_view field :
       {r.path, r.query, r.accept, r.content_type, r.origin, r.host, r.if_none_match,
        r.authorization, r.cookie, r.sec_fetch_site, r.request_method, r.forwarded_for,
        r.forwarded_proto, r.body}) {
    text.append(" [").append(field).append("]");
  }
  return text;
}

}  // namespace ringcast::http::test
