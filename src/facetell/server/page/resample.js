// Pictures resized and turned as Pillow does it, to the last bit, so that the browser's faces are
// those of Python. A picture is {data, width, height} with four bytes a pixel, RGB and an
// unused one, as canvases give it.
//
// Source: Pillow's Resample.c, Reduce.c and Geometry.c, 8 bits a channel, up to version 12.
// Version 13 goes along columns before rows where the height shrinks much more than the width;
// single values then differ by a level or two.
//
// Loops over pixels allocate nothing and stay in 32-bit integers where Pillow does: with arrays
// made for each pixel, cropping took four times as long.

const BITS = 22; // Pillow's fixed point: 32 bits less 8 for the pixel, 2 for overshoot
const PRECISION = 2 ** BITS;
const HALF = PRECISION / 2;

export const BILINEAR = { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) };
export const BICUBIC = { support: 2, weight: bicubicWeight };

export function blank(width, height) {
  return { data: new Uint8ClampedArray(4 * width * height), width, height };
}

// Python's round(): halves go to the even neighbour.
export function round(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

// Image.resize(size, filter, reducing_gap=gap): shrinks by a whole factor first where that
// leaves `gap` times the wanted size.
export function resize(image, width, height, filter, gap = Infinity) {
  if (image.width === width && image.height === height) return image;
  const factorX = Math.trunc(image.width / width / gap) || 1;
  const factorY = Math.trunc(image.height / height / gap) || 1;
  const small = reduce(image, factorX, factorY);
  // Pillow keeps the box in 32-bit floats.
  const box = [Math.fround(image.width / factorX), Math.fround(image.height / factorY)];
  const wide =
    small.width === width && box[0] === width
      ? small
      : alongRows(small, width, taps(small.width, box[0], width, filter));
  return small.height === height && box[1] === height
    ? wide
    : alongColumns(wide, height, taps(small.height, box[1], height, filter));
}

// Image.reduce((factorX, factorY)): means of blocks; the last blocks may be smaller.
export function reduce(image, factorX, factorY) {
  if (factorX === 1 && factorY === 1) return image;
  const out = blank(Math.ceil(image.width / factorX), Math.ceil(image.height / factorY));
  const [from, to] = [asPixels(image), out.data];
  for (let y = 0, at = 0; y < out.height; y++) {
    const y1 = y * factorY;
    const y2 = Math.min(image.height, y1 + factorY);
    for (let x = 0; x < out.width; x++, at += 4) {
      const x1 = x * factorX;
      const x2 = Math.min(image.width, x1 + factorX);
      blockMean(from, image.width, x1, y1, x2, y2, to, at);
    }
  }
  return out;
}

// Image.transform(AFFINE, BICUBIC): output pixel (x, y) is taken from
// (a x + b y + c, d x + e y + f); both count from pixel corners. Black outside.
export function turn(image, width, height, [a, b, c, d, e, f]) {
  const out = blank(width, height);
  for (let y = 0, at = 0; y < height; y++) {
    const v = y + 0.5;
    for (let x = 0; x < width; x++, at += 4) {
      const u = x + 0.5;
      bicubicAt(image, a * u + b * v + c, d * u + e * v + f, out.data, at);
    }
  }
  return out;
}

// np.pad(mode="edge"): the border repeated around the picture.
export function pad(image, left, top, right, bottom) {
  const out = blank(image.width + left + right, image.height + top + bottom);
  const from = new Uint32Array(image.data.buffer, image.data.byteOffset, image.width * image.height);
  const to = new Uint32Array(out.data.buffer);
  for (let y = 0; y < out.height; y++) {
    const row = Math.min(Math.max(y - top, 0), image.height - 1) * image.width;
    for (let x = 0; x < out.width; x++) {
      to[y * out.width + x] = from[row + Math.min(Math.max(x - left, 0), image.width - 1)];
    }
  }
  return out;
}

// The pixels of a rectangle inside the picture.
export function cut(image, x1, y1, x2, y2) {
  const out = blank(x2 - x1, y2 - y1);
  for (let y = y1; y < y2; y++) {
    const start = 4 * (y * image.width + x1);
    out.data.set(image.data.subarray(start, start + 4 * out.width), 4 * (y - y1) * out.width);
  }
  return out;
}

function bicubicWeight(x) {
  const a = -0.5;
  x = Math.abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

// For each output pixel: the first input pixel, how many, and their weights in fixed point.
function taps(length, box, size, filter) {
  const scale = box / size;
  const stretch = Math.max(scale, 1);
  const support = filter.support * stretch;
  const most = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(size);
  const count = new Int32Array(size);
  const weights = new Int32Array(size * most);
  const row = new Float64Array(most);
  for (let i = 0; i < size; i++) {
    const centre = (i + 0.5) * scale;
    first[i] = Math.max(0, Math.trunc(centre - support + 0.5));
    count[i] = Math.min(length, Math.trunc(centre + support + 0.5)) - first[i];
    let sum = 0;
    for (let k = 0; k < count[i]; k++) {
      row[k] = filter.weight((k + first[i] - centre + 0.5) * (1 / stretch));
      sum += row[k];
    }
    for (let k = 0; k < count[i]; k++) {
      const share = (sum ? row[k] / sum : row[k]) * PRECISION;
      weights[i * most + k] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
    }
  }
  return { first, count, weights, most };
}

function alongRows(image, width, { first, count, weights, most }) {
  const out = blank(width, image.height);
  const [from, to] = [asPixels(image), out.data];
  for (let y = 0, at = 0; y < image.height; y++) {
    const row = y * image.width;
    for (let x = 0; x < width; x++, at += 4) {
      let red = HALF, green = HALF, blue = HALF;
      for (let i = row + first[x], k = x * most, end = k + count[x]; k < end; k++, i++) {
        const weight = weights[k];
        const pixel = from[i];
        red = (red + Math.imul(pixel & 255, weight)) | 0;
        green = (green + Math.imul((pixel >> 8) & 255, weight)) | 0;
        blue = (blue + Math.imul((pixel >> 16) & 255, weight)) | 0;
      }
      // Clamped by the array; a shift rounds down, as Pillow does.
      to[at] = red >> BITS;
      to[at + 1] = green >> BITS;
      to[at + 2] = blue >> BITS;
      to[at + 3] = 255;
    }
  }
  return out;
}

// A number a pixel, red in its lowest byte (every browser's machine is little-endian).
function asPixels({ data }) {
  return new Int32Array(data.buffer, data.byteOffset, data.length / 4);
}

function alongColumns(image, height, { first, count, weights, most }) {
  const out = blank(image.width, height);
  const [from, to] = [asPixels(image), out.data];
  const stride = image.width;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < stride; x++, at += 4) {
      let red = HALF, green = HALF, blue = HALF;
      let i = first[y] * stride + x;
      for (let k = y * most, end = k + count[y]; k < end; k++, i += stride) {
        const weight = weights[k];
        const pixel = from[i];
        red = (red + Math.imul(pixel & 255, weight)) | 0;
        green = (green + Math.imul((pixel >> 8) & 255, weight)) | 0;
        blue = (blue + Math.imul((pixel >> 16) & 255, weight)) | 0;
      }
      to[at] = red >> BITS;
      to[at + 1] = green >> BITS;
      to[at + 2] = blue >> BITS;
      to[at + 3] = 255;
    }
  }
  return out;
}

function blockMean(from, width, x1, y1, x2, y2, to, at) {
  const area = (x2 - x1) * (y2 - y1);
  // Division by a 24-bit fixed-point reciprocal, itself computed in 32-bit floats.
  const reciprocal = Math.trunc(Math.fround(2 ** 32 / (256 * area)));
  let red = area >> 1, green = area >> 1, blue = area >> 1;
  for (let y = y1; y < y2; y++) {
    for (let i = y * width + x1, end = y * width + x2; i < end; i++) {
      const pixel = from[i];
      red += pixel & 255;
      green += (pixel >> 8) & 255;
      blue += (pixel >> 16) & 255;
    }
  }
  to[at] = Math.floor((red * reciprocal) / 2 ** 24);
  to[at + 1] = Math.floor((green * reciprocal) / 2 ** 24);
  to[at + 2] = Math.floor((blue * reciprocal) / 2 ** 24);
  to[at + 3] = 255;
}

function bicubicAt({ data, width, height }, u, v, out, at) {
  out[at + 3] = 255;
  if (u < 0 || u >= width || v < 0 || v >= height) return;
  const x = Math.floor(u - 0.5);
  const y = Math.floor(v - 0.5);
  const dx = u - 0.5 - x;
  const dy = v - 0.5 - y;
  const x1 = 4 * inside(x - 1, width);
  const x2 = 4 * inside(x, width);
  const x3 = 4 * inside(x + 1, width);
  const x4 = 4 * inside(x + 2, width);
  const y1 = 4 * width * inside(y - 1, height);
  const y2 = 4 * width * inside(y, height);
  const y3 = 4 * width * inside(y + 1, height);
  const y4 = 4 * width * inside(y + 2, height);
  for (let k = 0; k < 3; k++) {
    const value = cubic(
      cubic(data[y1 + x1 + k], data[y1 + x2 + k], data[y1 + x3 + k], data[y1 + x4 + k], dx),
      cubic(data[y2 + x1 + k], data[y2 + x2 + k], data[y2 + x3 + k], data[y2 + x4 + k], dx),
      cubic(data[y3 + x1 + k], data[y3 + x2 + k], data[y3 + x3 + k], data[y3 + x4 + k], dx),
      cubic(data[y4 + x1 + k], data[y4 + x2 + k], data[y4 + x3 + k], data[y4 + x4 + k], dx),
      dy,
    );
    out[at + k] = Math.trunc(value); // Pillow cuts off here, it does not round
  }
}

function inside(i, length) {
  return i < 0 ? 0 : i < length ? i : length - 1;
}

function cubic(v1, v2, v3, v4, d) {
  return v2 + d * (-v1 + v3 + d * (2 * (v1 - v2) + v3 - v4 + d * (-v1 + v2 - v3 + v4)));
}
