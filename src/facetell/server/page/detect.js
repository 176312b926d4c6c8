// A picture -> where its faces are. The same steps and numbers as faces/detect.py.

import { BILINEAR, blank, resize, round } from "./resample.js";

const STRIDE = 4; // pixels per cell of the output grid
const MULTIPLE = 32; // the network halves its input five times
const ENLARGE_TO = 960; // px

// Faces, largest first: {box_xyxy, score, landmarks_xy} in pixels of the picture.
// `run` takes (tensor, height, width) and gives the grids heat, size, offset and points.
export async function detectFaces(image, run, { side, min_score, max_overlap }) {
  const { canvas, scale, origin } = letterbox(image, side);
  const grids = await run(toTensor(canvas), canvas.height, canvas.width);
  const found = decode(grids, canvas.height / STRIDE, canvas.width / STRIDE, min_score);
  return suppress(found, max_overlap)
    .map((face) => toImage(face, scale, origin))
    .filter(({ box_xyxy: [x1, y1, x2, y2] }) => {
      const [x, y] = [x1 + x2, y1 + y2]; // twice the centre, which must lie in the picture
      return x >= 0 && x < 2 * image.width && y >= 0 && y < 2 * image.height;
    })
    .sort(byArea);
}

// Orders faces, the largest first.
export function byArea(a, b) {
  return area(b.box_xyxy) - area(a.box_xyxy);
}

// The picture scaled onto a black canvas whose sides are multiples of 32.
export function letterbox(image, side) {
  const scale = detectionScale(image.height, image.width, side);
  const width = Math.max(1, round(image.width * scale));
  const height = Math.max(1, round(image.height * scale));
  const small = resize(image, width, height, BILINEAR, 2);
  const canvas = blank(
    Math.ceil(width / MULTIPLE) * MULTIPLE,
    Math.ceil(height / MULTIPLE) * MULTIPLE,
  );
  const x = Math.floor((canvas.width - width) / 2);
  const y = Math.floor((canvas.height - height) / 2);
  for (let row = 0; row < height; row++) {
    const line = small.data.subarray(4 * row * width, 4 * (row + 1) * width);
    canvas.data.set(line, 4 * ((y + row) * canvas.width + x));
  }
  return { canvas, scale, origin: [x, y] };
}

export function detectionScale(height, width, side) {
  const longer = Math.max(height, width);
  return Math.min(side / longer, Math.max(1, Math.min(ENLARGE_TO / longer, 2)));
}

// (1, 3, H, W), 0-255: the network was trained on unscaled pixels.
function toTensor({ data, width, height }) {
  const plane = width * height;
  const tensor = new Float32Array(3 * plane);
  for (let i = 0; i < plane; i++) {
    tensor[i] = data[4 * i];
    tensor[plane + i] = data[4 * i + 1];
    tensor[2 * plane + i] = data[4 * i + 2];
  }
  return tensor;
}

// Peaks of the heat as faces in canvas pixels, best first.
export function decode({ heat, size, offset, points }, rows, columns, minScore) {
  const plane = rows * columns;
  const peaks = [];
  for (let i = 0; i < plane; i++) {
    if (heat[i] >= minScore && isPeak(heat, i, rows, columns)) peaks.push(i);
  }
  peaks.sort((a, b) => heat[b] - heat[a]);
  return peaks.map((i) => {
    const height = Math.exp(size[i]) * STRIDE;
    const width = Math.exp(size[plane + i]) * STRIDE;
    const y1 = (Math.floor(i / columns) + offset[i] + 0.5) * STRIDE - height / 2;
    const x1 = ((i % columns) + offset[plane + i] + 0.5) * STRIDE - width / 2;
    const landmarks_xy = [0, 1, 2, 3, 4].map((k) => [
      x1 + points[(2 * k + 1) * plane + i] * width,
      y1 + points[2 * k * plane + i] * height,
    ]);
    return { box_xyxy: [x1, y1, x1 + width, y1 + height], score: heat[i], landmarks_xy };
  });
}

function isPeak(heat, i, rows, columns) {
  const y = Math.floor(i / columns);
  const x = i % columns;
  for (let v = Math.max(0, y - 1); v <= Math.min(rows - 1, y + 1); v++) {
    for (let u = Math.max(0, x - 1); u <= Math.min(columns - 1, x + 1); u++) {
      if (heat[v * columns + u] > heat[i]) return false;
    }
  }
  return true;
}

// The faces to keep: none overlaps a better one by more (intersection over union).
export function suppress(faces, maxOverlap) {
  const kept = [];
  for (const face of faces) {
    const covered = kept.some((better) => overlap(better.box_xyxy, face.box_xyxy) > maxOverlap);
    if (!covered) kept.push(face);
  }
  return kept;
}

// Intersection over union of two boxes.
export function overlap(a, b) {
  const width = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0]));
  const height = Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const shared = width * height;
  return shared / (area(a) + area(b) - shared);
}

function area([x1, y1, x2, y2]) {
  return (x2 - x1) * (y2 - y1);
}

function toImage({ box_xyxy: box, score, landmarks_xy }, scale, [x0, y0]) {
  const back = ([x, y]) => [(x - x0) / scale, (y - y0) / scale];
  return {
    box_xyxy: [...back(box.slice(0, 2)), ...back(box.slice(2))],
    score,
    landmarks_xy: landmarks_xy.map(back),
  };
}
