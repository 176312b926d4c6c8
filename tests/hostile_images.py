"""Image files that somebody broke, or made to harm: strategies, and what must hold for each."""

from __future__ import annotations

import io
import struct
import time
import warnings
import zlib

import numpy as np
from hypothesis import strategies as st
from PIL import Image, features

from facetell.errors import ImageError, MissingExtra
from facetell.images import read_image

MAX_PIXELS = 1_000_000
MAX_SECONDS = 20.0  # on a machine where the usual file takes a few milliseconds
# Where lengths, counts and offsets go wrong.
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000,
            0xFFFFFFFE, 0xFFFFFFFF)  # fmt: skip


def read_or_refuse(data: bytes) -> str:
    """ "read" or "refused": nothing else may come of a file, soon, and without a warning."""
    start = time.perf_counter()
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        try:
            image = read_image(data, max_pixels=MAX_PIXELS)
        except (ImageError, MissingExtra):
            result = "refused"
        else:
            assert image.dtype == np.uint8
            assert image.ndim == 3
            assert image.shape[2] == 3
            assert 0 < image.shape[0] * image.shape[1] <= MAX_PIXELS
            assert image.flags.c_contiguous
            result = "read"
    assert [str(one.message) for one in leaked] == []
    assert time.perf_counter() - start < MAX_SECONDS
    return result


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def whole_files() -> dict[str, bytes]:
    """One small file of every format and of the variants whose decoders differ."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 20, 4), np.uint8)
    rgba, rgb = Image.fromarray(noise), Image.fromarray(noise[..., :3])
    grey16 = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    files = {
        "png": encoded(rgb, "PNG", exif=exif),
        "png rgba": encoded(rgba, "PNG"),
        "png palette": encoded(rgb.quantize(9), "PNG", transparency=b"\0\x80\xff"),
        "png 16 bit": encoded(grey16, "PNG"),
        "apng": encoded(rgb, "PNG", save_all=True, append_images=[rgb.rotate(90)]),
        "jpeg": encoded(rgb, "JPEG", exif=exif),
        "jpeg progressive": encoded(rgb, "JPEG", progressive=True, comment=b"hello"),
        "jpeg cmyk": encoded(rgb.convert("CMYK"), "JPEG"),
        "gif": encoded(rgb.quantize(9), "GIF", save_all=True, append_images=[rgb.quantize(5)]),
        "webp": encoded(rgb, "WEBP", exif=exif),
        "webp lossless": encoded(rgba, "WEBP", lossless=True),
        "bmp": encoded(rgb, "BMP"),
        "dib": encoded(rgb, "DIB"),
        "tiff": encoded(rgb, "TIFF"),
        "tiff lzw": encoded(rgba, "TIFF", compression="tiff_lzw"),
        "tiff jpeg": encoded(rgb, "TIFF", compression="jpeg"),
        "tiff deflate": encoded(grey16, "TIFF", compression="tiff_adobe_deflate"),
        "tiff float": encoded(Image.fromarray(noise[..., 0].astype(np.float32)), "TIFF"),
        "ppm": encoded(rgb, "PPM"),
        "tga": encoded(rgb, "TGA", compression="tga_rle"),
        "ico": encoded(rgba.resize((16, 16)), "ICO", sizes=[(16, 16)]),
    }
    if features.check("jpg_2000"):
        files["jpeg2000"] = encoded(rgb, "JPEG2000")
    if features.check("avif"):
        files["avif"] = encoded(rgb, "AVIF", exif=exif)
    return files | _heic(rgb)


def _heic(image: Image.Image) -> dict[str, bytes]:
    try:
        import pillow_heif
    except ImportError:
        return {}
    out = io.BytesIO()
    pillow_heif.from_pillow(image.resize((64, 64))).save(out)
    return {"heic": out.getvalue()}


WHOLE = whole_files()

_place = st.floats(0, 1, exclude_max=True)  # share of the file
_number = st.sampled_from(EXTREMES) | st.integers(0, 2**32 - 1)
_format = st.sampled_from(["<H", ">H", "<I", ">I"])


def _packed(number: int, form: str) -> bytes:
    return struct.pack(form, number & (0xFFFF if form[1] == "H" else 0xFFFFFFFF))


_harm = st.one_of(
    st.tuples(st.just("cut"), _place),
    st.tuples(st.just("bit"), _place, st.integers(0, 7)),
    st.tuples(st.just("bytes"), _place, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("number"), _place, _number, _format),
    st.tuples(st.just("insert"), _place, st.binary(min_size=1, max_size=64)),
    st.tuples(st.just("delete"), _place, st.integers(1, 64)),
    st.tuples(st.just("repeat"), _place, st.integers(1, 200), st.integers(2, 50)),
    st.tuples(st.just("splice"), _place, st.sampled_from(sorted(WHOLE)), _place),
)


def harmed(data: bytes, harm: tuple[object, ...]) -> bytes:
    """A file after one kind of damage at one place."""
    kind, place, *more = harm
    at = int(place * len(data))
    match kind, more:
        case "cut", _:
            return data[:at]
        case "bit", [bit]:
            return data[:at] + bytes(byte ^ 1 << bit for byte in data[at : at + 1]) + data[at + 1 :]
        case "bytes", [new]:
            return data[:at] + new + data[at + len(new) :]
        case "number", [number, form]:
            new = _packed(number, form)
            return data[:at] + new + data[at + len(new) :]
        case "insert", [new]:
            return data[:at] + new + data[at:]
        case "delete", [count]:
            return data[:at] + data[at + count :]
        case "repeat", [count, times]:
            return data[:at] + data[at : at + count] * times + data[at + count :]
        case "splice", [other, start]:
            return data[:at] + WHOLE[other][int(start * len(WHOLE[other])) :]
    raise AssertionError(harm)


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """A whole file with one to five damages, more often near its beginning."""
    data = WHOLE[draw(st.sampled_from(sorted(WHOLE)))]
    for kind, place, *more in draw(st.lists(_harm, min_size=1, max_size=5)):
        data = harmed(data, (kind, place * draw(st.sampled_from([0.05, 0.3, 1.0])), *more))
    return data


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@st.composite
def tiffs(draw: st.DrawFn) -> bytes:
    """A TIFF file, or EXIF, of one to three directories whose entries may point anywhere."""
    order = draw(st.sampled_from("<>"))
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    tags = st.sampled_from([256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 317, 322, 323, 324,
                            325, 330, 338, 339, 347, 700, 34665, 34675, 34853, 37500])  # fmt: skip
    entry = st.tuples(tags | st.integers(0, 65535), st.integers(0, 18), _number,
                      _number | st.integers(0, 400))  # fmt: skip
    strip = 8 + 2 + 12 * 9 + 4  # where the pixels of a 4 x 4 image would be
    sound = [(256, 3, 1, 4), (257, 3, 1, 4), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1),
             (273, 4, 1, strip), (277, 3, 1, 1), (278, 3, 1, 4), (279, 4, 1, 16)]  # fmt: skip
    for _ in range(draw(st.integers(1, 3))):
        wrong = {one[0]: one for one in draw(st.lists(entry, max_size=4))}
        known = {one[0] for one in sound}
        entries = [wrong.get(one[0], one) for one in sound]
        entries += [one for tag, one in sorted(wrong.items()) if tag not in known]
        count = len(entries) if draw(st.integers(0, 5)) else draw(_number) & 0xFFFF
        data += struct.pack(order + "H", count)
        for tag, kind, many, value in entries:
            short = kind == 3 and many == 1 and order == ">"  # lies in the upper half
            data += struct.pack(order + "HHII", tag, kind, many, value << 16 * short & 0xFFFFFFFF)
        data += struct.pack(order + "I", draw(st.sampled_from([0, 8, len(data) + 4]) | _number))
    return data + draw(st.binary(min_size=16, max_size=200))


_INFLATING = [zlib.compress(b"A" * size) for size in (10, 3_000_000, 80_000_000)]
_PIXELS = [zlib.compress(b"\0" * size) for size in (0, 10, 5000, 2_000_000)]


@st.composite
def pngs(draw: st.DrawFn) -> bytes:
    """A PNG whose checksums hold, of any size, with chunks that may say anything."""
    side = st.integers(0, 40) | st.sampled_from([999, 1001, 65535, 2**31 - 1, 2**32 - 1])
    width, height = draw(side), draw(side)
    header = struct.pack(
        ">IIBBBBB", width, height, draw(st.sampled_from([1, 2, 4, 8, 16, 0, 3, 255])),
        draw(st.sampled_from([0, 2, 3, 4, 6, 1, 255])), draw(st.sampled_from([0, 1])),
        draw(st.sampled_from([0, 1])), draw(st.sampled_from([0, 1, 2])),
    )  # fmt: skip
    bomb = draw(st.sampled_from(_INFLATING))
    known = {
        b"eXIf": draw(tiffs()),
        b"zTXt": b"Comment\0\0" + bomb,
        b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0" + bomb,
        b"iCCP": b"icc\0\0" + bomb,
        b"tEXt": b"Raw profile type exif\0" + draw(st.binary(max_size=60)),
        b"PLTE": draw(st.binary(max_size=800)),
        b"tRNS": draw(st.binary(max_size=300)),
        b"gAMA": draw(st.binary(max_size=5)),
        b"acTL": struct.pack(">II", draw(_number), draw(_number)),
        b"fcTL": draw(st.binary(min_size=20, max_size=30)),
    }
    extra = draw(st.lists(st.sampled_from(sorted(known)), max_size=4))
    body = draw(st.sampled_from(_PIXELS))
    chunks = b"".join(_chunk(kind, known[kind]) for kind in extra)
    if draw(st.booleans()):  # before pixels that are sound
        whole = WHOLE[draw(st.sampled_from(["png", "png rgba", "png palette", "apng"]))]
        return whole[:33] + chunks + whole[33:]
    data = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + chunks
    data += _chunk(b"IDAT", body[: draw(st.integers(0, len(body)))]) * draw(st.integers(0, 3))
    return data + _chunk(b"IEND", b"")


@st.composite
def jpegs(draw: st.DrawFn) -> bytes:
    """A JPEG with hostile metadata in front of good pixels."""
    payload = st.one_of(
        tiffs().map(lambda tiff: b"Exif\0\0" + tiff),
        st.binary(max_size=100).map(lambda junk: b"Exif\0\0" + junk),
        st.binary(max_size=100).map(lambda junk: b"ICC_PROFILE\0\1\1" + junk),
        st.binary(max_size=100).map(lambda junk: b"MPF\0" + junk),
        st.binary(max_size=100).map(lambda junk: b"Photoshop 3.0\x008BIM" + junk),
        st.sampled_from([
            b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='9'/>",
            b"http://ns.adobe.com/xap/1.0/\0<!DOCTYPE a [<!ENTITY b '" + b"c" * 999 + b"'>]>&b;",
        ]),
        st.binary(max_size=200),
    )  # fmt: skip
    segments = st.tuples(st.integers(0xE0, 0xEF) | st.just(0xFE), payload)
    data = b"\xff\xd8"
    for marker, body in draw(st.lists(segments, min_size=1, max_size=5)):
        size = len(body) + 2 if draw(st.integers(0, 9)) else draw(_number) & 0xFFFF
        data += bytes([0xFF, marker]) + struct.pack(">H", size) + body
    return data + WHOLE["jpeg progressive"][2:]


@st.composite
def bombs(draw: st.DrawFn) -> bytes:
    """A small whole file whose header claims an enormous (or no) size."""
    form, at, pack = draw(st.sampled_from([
        ("png", 16, ">I"), ("png", 20, ">I"), ("gif", 6, "<H"), ("gif", 8, "<H"),
        ("bmp", 18, "<I"), ("bmp", 22, "<I"), ("tga", 12, "<H"), ("tga", 14, "<H"),
        ("webp lossless", 21, "<I"), ("ico", 6, "<H"),
    ]))  # fmt: skip
    data = bytearray(WHOLE[form])
    struct.pack_into(pack, data, at, draw(_number) & (0xFFFF if pack[1] == "H" else 0xFFFFFFFF))
    return bytes(data)


@st.composite
def ppms(draw: st.DrawFn) -> bytes:
    """Headers of the PNM family, which are text."""
    if draw(st.booleans()):
        width, height, top = (draw(st.integers(0, 9)) for _ in range(3))
        kind, most = draw(st.sampled_from(["P5", "P6", "P2", "P3"])), max(1, 2 ** (2 * top) - 1)
        numbers = st.binary(min_size=300, max_size=300) if kind in ("P5", "P6") else (
            st.lists(st.integers(-1, most + 1), max_size=250).map(
                lambda values: " ".join(map(str, values)).encode()))  # fmt: skip
        return f"{kind} {width} {height} {most}\n".encode() + draw(numbers)
    words = st.integers(-2, 10**12).map(str) | st.sampled_from(["", "#", "#\n", "9" * 40, "x"])
    kind = draw(st.sampled_from([f"P{i}" for i in range(8)] + ["Pf", "PF", "P0CMYK", "PyP"]))
    header = " ".join([kind, *draw(st.lists(words, max_size=5))])
    return header.encode() + b"\n" + draw(st.binary(max_size=300))


#: Every kind by its name.
HOSTILE = {
    "damaged files": damaged_files(),
    "TIFF directories": tiffs(),
    "PNG chunks": pngs(),
    "JPEG metadata": jpegs(),
    "bombs": bombs(),
    "PNM headers": ppms(),
    "bytes": st.binary(max_size=400),
}
