#!/usr/bin/env python3
"""Writes a C++ source file that holds the given files and a function to find them by path.

    embed.py OUTPUT FUNCTION FILE...

FUNCTION is the name of `const ringcast::page::Asset* FUNCTION(std::string_view)`, in that namespace.
A file is served at /<its name>, live.html at / instead.

Bytes are written as numbers, not as a string literal: compilers bound a literal's length (clang warns
above 65536 bytes), and a literal would need escapes that no reader can check.
"""

import hashlib
import pathlib
import sys

CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".bin": "application/octet-stream",
}
BYTES_PER_LINE = 24


def signed(byte: int) -> int:
    """The value as a signed char, so that the initialiser never narrows."""
    return byte - 256 if byte > 127 else byte


def array(name: str, content: bytes) -> str:
    if not content:
        raise SystemExit(f"embed.py: {name} would be an empty array")
    lines = [
        "    " + ", ".join(str(signed(byte)) for byte in content[start : start + BYTES_PER_LINE]) + ","
        for start in range(0, len(content), BYTES_PER_LINE)
    ]
    return f"constexpr signed char {name}[] = {{\n" + "\n".join(lines) + "\n};\n"


def main(output: str, function: str, *files: str) -> None:
    arrays, assets = [], []
    for index, file in enumerate(files):
        path = pathlib.Path(file)
        if path.suffix not in CONTENT_TYPES:
            raise SystemExit(f"embed.py: no content type is known for {path.name}")
        content = path.read_bytes()
        served_at = "/" if path.name == "live.html" else f"/{path.name}"
        etag = hashlib.sha256(content).hexdigest()[:32]
        arrays.append(array(f"kBytes{index}", content))
        assets.append(
            f'    Asset{{"{served_at}", "{CONTENT_TYPES[path.suffix]}",\n'
            f'          {{reinterpret_cast<const char*>(kBytes{index}), sizeof(kBytes{index})}},\n'
            f'          "\\"{etag}\\""}},'
        )
    pathlib.Path(output).write_text(
        "// Written by embed.py.\n"
        "#include <string_view>\n\n"
        '#include "ringcast/page/assets.h"\n\n'
        "namespace ringcast::page {\n\n"
        f"const Asset* {function}(std::string_view path);\n\n"
        "namespace {\n\n" + "\n".join(arrays) + "\n"
        "const Asset kAssets[] = {\n" + "\n".join(assets) + "\n};\n\n"
        "}  // namespace\n\n"
        f"const Asset* {function}(std::string_view path) {{\n"
        "  for (const Asset& asset : kAssets) {\n"
        "    if (asset.path == path) return &asset;\n"
        "  }\n"
        "  return nullptr;\n"
        "}\n\n"
        "}  // namespace ringcast::page\n",
        encoding="ascii",
    )


if __name__ == "__main__":
    if len(sys.argv) < 4:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])
