#include "tls_values.h"

#include <algorithm>

#include "ringcast/admin/log.h"
#include "ringcast/http/origin.h"
#include "ringcast/tls/context.h"

#include "access_values.h"

namespace ringcast::config {
namespace {

void read_files(const Value& value, std::vector<std::string>& out, bool may_repeat) {
  if (value.is_empty_text()) {
    out.clear();
    return;
  }
  std::vector<std::string> files;
  const bool good = value.read_one_or_each(
      {0, tls::kCertificatesMax, "files"}, [&](const std::string& path) -> Result<void> {
        if (path.empty()) return Error{"the name of a file is empty"};
        if (path.find('\0') != std::string::npos) return Error{"must not contain NUL"};
        if (!may_repeat && std::ranges::find(files, path) != files.end()) {
          return Error{string_text(path) + " is there twice"};
        }
        files.push_back(path);
        return {};
      });
  if (good) out = std::move(files);
}

}  // namespace

void read_certificates(const Value& value, std::vector<std::string>& out) {
  read_files(value, out, false);
}

void read_private_keys(const Value& value, std::vector<std::string>& out) {
  read_files(value, out, true);
}

void read_redirect(const Value& value, std::string& out) {
  const std::string* const text = value.text();
  if (text == nullptr) return;
  if (text->empty()) {
    out.clear();
    return;
  }
  const auto origin = http::parse_origin(*text);
  if (!origin || !origin->text.starts_with("https://")) {
    return value.fail(
        "must be \"https://\" and a host, as \"https://push.example.com\", with the port unless "
        "it is 443, without a path; or \"\" for none; not \"" +
        admin::safe_text(*text, 64) + "\"");
  }
  out = origin->text;
}

std::string files_text(const std::vector<std::string>& files) {
  if (files.empty()) return string_text("");
  return files.size() == 1 ? string_text(files.front()) : strings_text(files);
}

}  // namespace ringcast::config
