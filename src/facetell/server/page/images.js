// A photo file -> its pixels, upright, or one clear error. Sizes are those of page.js's limits.

export class InputError extends Error {}

const MOST_KEPT = 4e6; // pixels of a canvas that stays in memory
let kept = null; // its context

const EXPECTED = "expected a photo (JPEG, PNG, WebP, AVIF, GIF, BMP)";

// An ImageBitmap, turned as its EXIF data say, colours as stored. The caller closes it.
export async function decodePhoto(file, { bytes, pixels }) {
  if (file.size === 0) throw new InputError(`${file.name}: ${EXPECTED}, got 0 bytes.`);
  if (file.size > bytes) {
    throw new InputError(
      `${file.name}: expected at most ${bytes / 1e6} MB, got ${Math.ceil(file.size / 1e6)} MB. ` +
        "Save the photo smaller.",
    );
  }
  // Before decoding: a small file may unfold to gigabytes.
  checkPixels(file.name, declaredSize(new Uint8Array(await file.arrayBuffer())), pixels);
  const bitmap = await decode(file);
  checkPixels(file.name, [bitmap.width, bitmap.height], pixels);
  return bitmap;
}

async function decode(file) {
  try {
    // Python applies no colour profile either.
    return await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new InputError(
      `${file.name}: ${EXPECTED}, got ${file.size.toLocaleString("en")} bytes that this browser ` +
        "cannot read as one. Check that the file is a photo and was copied whole.",
    );
  }
}

// Pixels {data, width, height} of a bitmap, four bytes each, transparency laid on white.
export function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  const context = contextOf(width, height);
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  return { data: context.getImageData(0, 0, width, height).data, width, height };
}

// A canvas to draw a picture on; that of frames, which come in one size, is kept.
function contextOf(width, height) {
  if (kept?.canvas.width === width && kept.canvas.height === height) return kept;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  kept = width * height <= MOST_KEPT ? context : null;
  return context;
}

function checkPixels(name, size, most) {
  if (!size || size[0] * size[1] <= most) return;
  throw new InputError(
    `${name}: expected at most ${most / 1e6} million pixels, got ${size[0]} x ${size[1]}. ` +
      "Make the photo smaller.",
  );
}

// Width and height that a file declares, or null where its form is another.
export function declaredSize(bytes) {
  if (bytes.length < 32) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const word = (at, length) => String.fromCharCode(...bytes.subarray(at, at + length));
  if (word(1, 3) === "PNG") return [view.getUint32(16), view.getUint32(20)];
  if (word(0, 3) === "GIF") return [view.getUint16(6, true), view.getUint16(8, true)];
  if (word(0, 2) === "BM") return [view.getInt32(18, true), Math.abs(view.getInt32(22, true))];
  if (word(0, 4) === "RIFF" && word(8, 4) === "WEBP") return webpSize(view, word(12, 4));
  if (view.getUint16(0) === 0xffd8) return jpegSize(view);
  return null;
}

function webpSize(view, kind) {
  if (kind === "VP8 ") return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
  }
  const three = (at) => view.getUint16(at, true) + 65536 * view.getUint8(at + 2) + 1;
  return [three(24), three(27)];
}

// The frame header (SOF), found by walking from marker to marker.
function jpegSize(view) {
  let at = 2;
  while (at + 9 < view.byteLength && view.getUint8(at) === 0xff) {
    const marker = view.getUint8(at + 1);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) return [view.getUint16(at + 7), view.getUint16(at + 5)];
    at += 2 + view.getUint16(at + 2);
  }
  return null;
}
