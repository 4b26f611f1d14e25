#pragma once

// The shared library of the distribution is built with exceptions; we compile our own without. What
// pkg-config defines for the shared one must not reach this header.
#undef TOML_SHARED_LIB
#undef TOML_HEADER_ONLY
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>
