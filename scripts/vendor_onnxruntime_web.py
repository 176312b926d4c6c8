"""Copy what the page needs of onnxruntime-web into src/facetell/server/page/vendor.

    npm pack onnxruntime-web@1.30.0
    python scripts/vendor_onnxruntime_web.py onnxruntime-web-1.30.0.tgz

The npm package unpacks to 140 MB of builds; the page needs one of them: WebAssembly with
SIMD, for the processor, on one thread or several. Two things change: files end in .js, because
some web hosts do not know .mjs, and the lines that name source maps, which are not copied, go.
The npm package holds no licence text, so LICENSE and ThirdPartyNotices.txt come from the
installed Python package onnxruntime, built from the same repository.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tarfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

VERSION = "1.30.0"
OUT = Path(__file__).parent.parent / "src" / "facetell" / "server" / "page" / "vendor"
# file in the package -> (our name, sha256 of the file in the package)
FILES = {
    "ort.wasm.min.mjs": (
        "ort.wasm.min.js",
        "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    ),
    "ort-wasm-simd-threaded.mjs": (
        "ort-wasm-simd-threaded.js",
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    ),
    "ort-wasm-simd-threaded.wasm": (
        "ort-wasm-simd-threaded.wasm",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
}
NOTE = """onnxruntime-web {version}, from the npm registry: \
https://www.npmjs.com/package/onnxruntime-web

Copyright (c) Microsoft Corporation, MIT License; see onnxruntime.LICENSE. The parts of others in
it are named in onnxruntime.ThirdPartyNotices.txt. Both texts are those of the Python package
onnxruntime {notices}.

Copied by scripts/vendor_onnxruntime_web.py from onnxruntime-web-{version}.tgz:

{files}

Changed: names end in .js instead of .mjs, and the lines that name source maps are left out.
"""


def read_member(archive: tarfile.TarFile, name: str, digest: str) -> bytes:
    member = archive.extractfile(f"package/dist/{name}")
    assert member is not None
    data = member.read()
    got = hashlib.sha256(data).hexdigest()
    if got != digest:
        sys.exit(f"{name}: expected sha256 {digest}, got {got}. Pack version {VERSION}.")
    return data


def main(package: str) -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    lines = []
    with tarfile.open(package) as archive:
        for name, (ours, digest) in FILES.items():
            data = read_member(archive, name, digest)
            if name.endswith(".mjs"):
                data = re.sub(rb"\n?//# sourceMappingURL=\S+\s*$", b"\n", data)
            (OUT / ours).write_bytes(data)
            lines.append(f"  {ours}, {len(data):,} bytes; dist/{name}, sha256\n    {digest}")
    spec = find_spec("onnxruntime")
    assert spec is not None
    assert spec.origin is not None
    for name in ("LICENSE", "ThirdPartyNotices.txt"):
        text = (Path(spec.origin).parent / name).read_bytes().replace(b"\r\n", b"\n")
        (OUT / f"onnxruntime.{name}").write_bytes(text)
    note = NOTE.format(version=VERSION, notices=version("onnxruntime"), files="\n".join(lines))
    (OUT / "README.txt").write_text(note, encoding="utf-8")
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main(*sys.argv[1:])
