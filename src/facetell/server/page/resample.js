// Pictures resized and turned as Pillow does it, to the last bit, so that the browser's faces are
// those of Python. A picture is {data, width, height} with four bytes a pixel, RGB and an
// unused one, as canvases give it.
//
// Source: Pillow's Resample.c, Reduce.c and Geometry.c, 8 bits a channel, up to version 12.
// Version 13 goes along columns before rows where the height shrinks much more than the width;
// single values then differ by a level or two.

const PRECISION = 2 ** 22; // Pillow's fixed point: 32 bits less 8 for the pixel, 2 for overshoot

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
  for (let y = 0; y < out.height; y++) {
    for (let x = 0; x < out.width; x++) {
      const x2 = Math.min(image.width, (x + 1) * factorX);
      const y2 = Math.min(image.height, (y + 1) * factorY);
      blockMean(image, x * factorX, y * factorY, x2, y2, out.data, 4 * (y * out.width + x));
    }
  }
  return out;
}

// Image.transform(AFFINE, BICUBIC): output pixel (x, y) is taken from
// (a x + b y + c, d x + e y + f); both count from pixel corners. Black outside.
export function turn(image, width, height, [a, b, c, d, e, f]) {
  const out = blank(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [u, v] = [x + 0.5, y + 0.5];
      bicubicAt(image, a * u + b * v + c, d * u + e * v + f, out.data, 4 * (y * width + x));
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
  for (let i = 0; i < size; i++) {
    const centre = (i + 0.5) * scale;
    first[i] = Math.max(0, Math.trunc(centre - support + 0.5));
    count[i] = Math.min(length, Math.trunc(centre + support + 0.5)) - first[i];
    const row = Array.from({ length: count[i] }, (_, k) =>
      filter.weight((k + first[i] - centre + 0.5) * (1 / stretch)),
    );
    const sum = row.reduce((total, weight) => total + weight, 0);
    row.forEach((weight, k) => {
      const share = (sum ? weight / sum : weight) * PRECISION;
      weights[i * most + k] = Math.trunc(share < 0 ? share - 0.5 : share + 0.5);
    });
  }
  return { first, count, weights, most };
}

function alongRows(image, width, { first, count, weights, most }) {
  const out = blank(width, image.height);
  const { data } = image;
  for (let y = 0, at = 0; y < image.height; y++) {
    const row = 4 * y * image.width;
    for (let x = 0; x < width; x++, at += 4) {
      let red = PRECISION / 2, green = PRECISION / 2, blue = PRECISION / 2;
      let from = row + 4 * first[x];
      for (let k = x * most, end = k + count[x]; k < end; k++, from += 4) {
        const weight = weights[k];
        red += data[from] * weight;
        green += data[from + 1] * weight;
        blue += data[from + 2] * weight;
      }
      // Clamped by the array; a shift rounds down, as Pillow does.
      out.data[at] = red >> 22;
      out.data[at + 1] = green >> 22;
      out.data[at + 2] = blue >> 22;
      out.data[at + 3] = 255;
    }
  }
  return out;
}

function alongColumns(image, height, { first, count, weights, most }) {
  const out = blank(image.width, height);
  const { data } = image;
  const stride = 4 * image.width;
  for (let y = 0, at = 0; y < height; y++) {
    for (let x = 0; x < image.width; x++, at += 4) {
      let red = PRECISION / 2, green = PRECISION / 2, blue = PRECISION / 2;
      let from = first[y] * stride + 4 * x;
      for (let k = y * most, end = k + count[y]; k < end; k++, from += stride) {
        const weight = weights[k];
        red += data[from] * weight;
        green += data[from + 1] * weight;
        blue += data[from + 2] * weight;
      }
      out.data[at] = red >> 22;
      out.data[at + 1] = green >> 22;
      out.data[at + 2] = blue >> 22;
      out.data[at + 3] = 255;
    }
  }
  return out;
}

function blockMean(image, x1, y1, x2, y2, out, at) {
  const area = (x2 - x1) * (y2 - y1);
  // Division by a 24-bit fixed-point reciprocal, itself computed in 32-bit floats.
  const reciprocal = Math.trunc(Math.fround(2 ** 32 / (256 * area)));
  for (let channel = 0; channel < 3; channel++) {
    let sum = Math.trunc(area / 2);
    for (let y = y1; y < y2; y++) {
      const row = 4 * y * image.width + channel;
      for (let x = x1; x < x2; x++) sum += image.data[row + 4 * x];
    }
    out[at + channel] = Math.floor((sum * reciprocal) / 2 ** 24);
  }
  out[at + 3] = 255;
}

function bicubicAt(image, u, v, out, at) {
  const { data, width, height } = image;
  out[at + 3] = 255;
  if (u < 0 || u >= width || v < 0 || v >= height) return;
  const x = Math.floor(u - 0.5);
  const y = Math.floor(v - 0.5);
  const [dx, dy] = [u - 0.5 - x, v - 0.5 - y];
  const columns = [-1, 0, 1, 2].map((k) => 4 * Math.min(Math.max(x + k, 0), width - 1));
  const rows = [-1, 0, 1, 2].map((k) => 4 * width * Math.min(Math.max(y + k, 0), height - 1));
  for (let channel = 0; channel < 3; channel++) {
    const values = rows.map((row) =>
      cubic(columns.map((column) => data[row + column + channel]), dx),
    );
    out[at + channel] = Math.trunc(cubic(values, dy)); // Pillow cuts off here, it does not round
  }
}

function cubic([v1, v2, v3, v4], d) {
  return v2 + d * (-v1 + v3 + d * (2 * (v1 - v2) + v3 - v4 + d * (-v1 + v2 - v3 + v4)));
}
