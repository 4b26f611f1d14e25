#pragma once

#include <string>
#include <vector>

#include "value.h"

// Values of [tls]. As with the members of Value, what fits is stored, and else there is an error
// and `out` stays as it is.
namespace ringcast::config {

/// The name of a file, "" for none; or an array of at most tls::kCertificatesMax names, none empty.
/// No certificate is there twice; one key may belong to several certificates.
void read_certificates(const Value& value, std::vector<std::string>& out);
void read_private_keys(const Value& value, std::vector<std::string>& out);
/// An origin with https, stored as a browser would send it; "" is none.
void read_redirect(const Value& value, std::string& out);

/// One file as a string, several as an array, none as "".
[[nodiscard]] std::string files_text(const std::vector<std::string>& files);

}  // namespace ringcast::config
