import contextlib
import io
import struct
import sys
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, features

from facetell.errors import ImageError, MissingExtra
from facetell.images import find_images, read_image


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def gradient(height: int = 40, width: int = 60) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + y) % 256], 2).astype(
        np.uint8
    )


def png_of_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 100)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "PPM", "TGA"])
def test_lossless_files_give_back_the_same_pixels(form):
    pixels = gradient()
    assert (read_image(encoded(Image.fromarray(pixels), form)) == pixels).all()


@pytest.mark.parametrize("form", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_lossy_files_give_back_nearly_the_same_pixels(form):
    if form == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow was built without AVIF")
    y, x = np.mgrid[:64, :64]
    smooth = np.stack([x * 3, y * 3, x + y], 2).astype(np.uint8)
    got = read_image(encoded(Image.fromarray(smooth), form, quality=95))
    assert np.abs(got.astype(int) - smooth).mean() < 6


def test_path_string_bytes_and_array_agree(tmp_path):
    pixels = gradient()
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    for source in (path, str(path), path.read_bytes(), pixels):
        got = read_image(source)
        assert got.dtype == np.uint8
        assert got.flags.c_contiguous
        assert (got == pixels).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(orientation, form):
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:16, :16] = (255, 0, 0)  # red at the upper left once upright
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    turns = [
        None,
        None,
        Image.Transpose.FLIP_LEFT_RIGHT,
        Image.Transpose.ROTATE_180,
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.TRANSPOSE,
        Image.Transpose.ROTATE_270,
        Image.Transpose.TRANSVERSE,
        Image.Transpose.ROTATE_90,
    ]
    stored = Image.fromarray(pixels)
    if turns[inverse] is not None:
        stored = stored.transpose(turns[inverse])
    exif = Image.Exif()
    exif[0x0112] = orientation
    got = read_image(encoded(stored, form, exif=exif, quality=95))
    assert got.shape == pixels.shape
    assert np.abs(got.astype(int) - pixels).mean() < 4


@pytest.mark.parametrize("mode", ["L", "1"])
def test_grey_and_one_bit_become_three_equal_channels(mode):
    image = Image.fromarray(gradient()[..., 0]).convert(mode)
    got = read_image(encoded(image, "PNG"))
    assert (got[..., 0] == np.asarray(image.convert("L"))).all()
    assert (got == got[..., :1]).all()


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_show_white_and_opaque_ones_themselves(mode):
    rgba = np.zeros((10, 10, 4), np.uint8)
    rgba[:, 5:, 3] = 255
    image = Image.fromarray(rgba)
    if mode == "P":
        image = image.quantize(4)
    elif mode == "LA":
        image = image.convert("LA")
    got = read_image(encoded(image, "PNG"))
    assert (got[:, :5] == 255).all()
    assert (got[:, 5:] == 0).all()


def test_half_transparent_black_on_white_is_mid_grey():
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[..., 3] = 128
    for source in (rgba, encoded(Image.fromarray(rgba), "PNG")):
        assert np.abs(read_image(source).astype(int) - 127).max() <= 1


def test_gif_palette_transparency_needs_no_warning():
    image = Image.new("P", (8, 8), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    got = read_image(encoded(image, "PNG", transparency=b"\x00\xff"))
    assert (got == 255).all()


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_cmyk_keeps_light_light_and_dark_dark(form):
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, 16:] = 255
    got = read_image(encoded(Image.fromarray(pixels).convert("CMYK"), form))
    assert got[:, :12].mean() < 10
    assert got[:, 20:].mean() > 245


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_divided_by_257(form):
    eight = np.arange(256, dtype=np.uint16).reshape(16, 16)
    image = Image.fromarray(eight * 257)
    assert image.mode == "I;16"
    assert (read_image(encoded(image, form))[..., 0] == eight).all()
    any_value = np.random.default_rng(1).integers(0, 65536, (40, 40), np.uint16)
    got = read_image(encoded(Image.fromarray(any_value), form))[..., 0]
    assert (got == np.rint(any_value / 257)).all()


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_float_and_integer_grey_is_scaled_by_the_usual_range_that_holds_it(top):
    eight = np.arange(256).reshape(16, 16)
    kinds = [np.float32] if top == 1 else [np.float32, np.int32]
    for kind in kinds:
        image = Image.fromarray((eight * (top / 255)).astype(kind))
        assert (read_image(encoded(image, "TIFF"))[..., 0] == eight).all()


def test_float_grey_outside_every_usual_range_is_stretched_and_nan_is_survived():
    values = np.linspace(-50, 950, 256, dtype=np.float32).reshape(16, 16)
    got = read_image(encoded(Image.fromarray(values), "TIFF"))[..., 0]
    assert got.min() == 0
    assert got.max() == 255
    values[0, 0] = np.nan
    assert read_image(encoded(Image.fromarray(values), "TIFF")).shape == (16, 16, 3)


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animated_images_give_their_first_frame(form):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "lime")]
    data = encoded(frames[0], form, save_all=True, append_images=frames[1:])
    got = read_image(data)
    assert np.abs(got.astype(int) - [255, 0, 0]).max() < 12


def test_heic_is_read_and_its_orientation_undone():
    heif = pytest.importorskip("pillow_heif")
    y, x = np.mgrid[:64, :96]
    pixels = np.stack([x * 2, y * 3, x + y], 2).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    heif.from_pillow(Image.fromarray(np.rot90(pixels).copy())).save(
        out, quality=95, exif=exif.tobytes()
    )
    before = dict(Image.OPEN), list(Image.ID)
    got = read_image(out.getvalue())
    assert (dict(Image.OPEN), list(Image.ID)) == before or "HEIF" in before[0]
    assert got.shape == pixels.shape
    assert np.abs(got.astype(int) - pixels).mean() < 6


def test_heic_without_its_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = struct.pack(">I", 24) + b"ftypheic" + b"\0\0\0\0" + b"mif1heic" + b"\0" * 100
    with pytest.raises(MissingExtra, match=r"reading HEIC .* pip install 'facetell\[heic\]'"):
        read_image(data)


def whole_files() -> list[tuple[str, bytes]]:
    noise = Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8))
    forms = ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"]
    forms += ["AVIF"] if features.check("avif") else []
    return [(form, encoded(noise, form)) for form in forms]


@pytest.mark.parametrize(("form", "data"), whole_files())
def test_truncated_files_are_refused_at_every_length(form, data):
    for share in (0.02, 0.3, 0.6, 0.9):
        with pytest.raises(ImageError, match=r"expected a photo .*, got"):
            read_image(data[: int(len(data) * share)])


@pytest.mark.parametrize(("form", "data"), whole_files())
def test_flipped_bytes_give_an_image_or_an_image_error(form, data):
    rng = np.random.default_rng(5)
    for _ in range(40):
        bad = np.frombuffer(data, np.uint8).copy()
        bad[rng.integers(0, min(len(bad), 400), 4)] = rng.integers(0, 256, 4)
        with contextlib.suppress(ImageError):
            assert read_image(bad.tobytes(), max_pixels=10_000_000).ndim == 3


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", r"image: expected a photo .*, got 0 bytes\. Copy"),
        (b"hello, I am text", r"got 16 bytes that are none of these\. Check"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "none of these"),
    ],
)
def test_what_is_no_photo_is_refused(data, message):
    with pytest.raises(ImageError, match=message):
        read_image(data)


def test_missing_file_folder_and_empty_file_are_named(tmp_path):
    (tmp_path / "empty.jpg").touch()
    for path, message in [
        (tmp_path / "none.jpg", "got no such file"),
        (tmp_path, "got a folder"),
        (tmp_path / "empty.jpg", "got 0 bytes"),
        ("bad\0name.jpg", "cannot be read"),
    ]:
        with pytest.raises(ImageError, match=message) as caught:
            read_image(path)
        assert str(path) in str(caught.value)


def test_a_bomb_is_refused_by_its_header(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    for size in [(10_001, 10_000), (12_000, 12_000), (60_000, 60_000)]:
        with pytest.raises(
            ImageError, match=r"at most 100,000,000 pixels, got .* raise max_pixels"
        ):
            read_image(png_of_size(*size))
    with pytest.raises(ImageError, match="at most 99 pixels, got 10 x 10"):
        read_image(png_of_size(10, 10), max_pixels=99)


def test_images_between_pillows_warning_and_our_limit_leak_no_warning():
    with pytest.raises(ImageError, match="truncated"):  # the header passes, the pixels are missing
        read_image(png_of_size(9_900, 9_900))


def test_a_truncated_tiff_leaks_no_warning():
    data = encoded(Image.fromarray(gradient()), "TIFF", compression="jpeg")
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        for missing in (5, 50, 150):  # decoding reads the directory again
            with contextlib.suppress(ImageError):
                read_image(data[:-missing])
    assert leaked == []


def test_files_over_max_bytes_are_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "big.png"
    path.write_bytes(b"x" * 2000)
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("read"))
    for source in (path, b"x" * 2000):
        with pytest.raises(ImageError, match="at most 1,000 bytes, got 2,000"):
            read_image(source, max_bytes=1000)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros(4, np.uint8),
    ],
)
def test_other_arrays_are_refused(array):
    with pytest.raises(ImageError, match=r"an image array must be uint8 .* got \w+ of shape"):
        read_image(array)


def test_other_types_are_refused():
    with pytest.raises(ImageError, match="must be a path, bytes or a uint8 array, got int"):
        read_image(7)


def test_reading_in_threads_leaves_the_warning_filters_alone():
    data = encoded(Image.fromarray(gradient()), "JPEG")
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [read_image(data) for _ in range(50)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_folders_are_searched_in_order_for_images_only(tmp_path):
    for name in ("b/2.png", "b/1.JPG", "a.txt", "c.webp", ".hidden/x.png", ".y.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in find_images([tmp_path])]
    assert found == ["b/1.JPG", "b/2.png", "c.webp"]
    assert list(find_images([tmp_path / "a.txt", "no such"])) == [
        tmp_path / "a.txt",
        Path("no such"),
    ]


@pytest.mark.parametrize(
    ("name", "is_photo"),
    [
        ("a.jpg.faces.jpg", False),
        ("a.faces.jpg", False),  # of a photo without an ending
        ("a.JPG.face1.png", False),
        ("clip.mp4.1.50s.face12.png", False),
        ("a.face1.png", True),  # somebody's own crop
        ("a.faces.png", True),
        ("faces.jpg", True),
        ("a.jpg.face.png", True),
    ],
)
def test_what_facetell_wrote_into_a_folder_is_no_photo_unless_it_is_named(tmp_path, name, is_photo):
    (tmp_path / name).touch()
    assert list(find_images([tmp_path])) == [tmp_path / name] * is_photo
    assert list(find_images([tmp_path / name])) == [tmp_path / name]


def test_links_to_folders_inside_a_folder_are_passed_over(tmp_path):
    (tmp_path / "in" / "real.png").mkdir(parents=True)
    (tmp_path / "in" / "real.png" / "1.png").touch()
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "in" / "real.png")
    (tmp_path / "in" / "file.png").symlink_to(tmp_path / "in" / "real.png" / "1.png")
    found = [str(path.relative_to(tmp_path / "in")) for path in find_images([tmp_path / "in"])]
    assert found == ["file.png", "real.png/1.png"]


def test_a_folder_that_cannot_be_listed_is_named_and_the_others_are_found(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "b.png").touch()
    listed = Path.iterdir

    def iterdir(folder):
        if folder.name == "a":
            raise PermissionError(13, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    assert list(find_images([tmp_path])) == [tmp_path / "a", tmp_path / "b.png"]
