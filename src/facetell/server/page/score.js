// Faces -> margins and scores. The same steps and numbers as tensors.py and runtime/session.py.

// Faces as a model reads them: (N, 1, C, S, S) float32.
export function toTensor(faces, contract) {
  const plane = contract.face_px ** 2;
  const each = contract.channels * plane;
  const tensor = new Float32Array(faces.length * each);
  const scale = contract.std.map((std) => Math.fround(1 / (255 * std)));
  const shift = contract.mean.map((mean, c) => Math.fround(mean / contract.std[c]));
  faces.forEach(({ data }, n) => {
    for (let c = 0; c < contract.channels; c++) {
      for (let i = 0; i < plane; i++) {
        const value = contract.channels === 1 ? grey(data, 4 * i) : data[4 * i + c];
        tensor[n * each + c * plane + i] = Math.fround(value * scale[c]) - shift[c];
      }
    }
  });
  return tensor;
}

// Rec. 601 luma in 16-bit fixed point, rounded.
function grey(data, i) {
  return (data[i] * 19595 + data[i + 1] * 38470 + data[i + 2] * 7471 + 32768) >> 16;
}

// Each face's mirror image, rows of `side` pixels reversed.
export function mirror(tensor, side) {
  const out = new Float32Array(tensor.length);
  for (let row = 0; row < tensor.length; row += side) {
    for (let x = 0; x < side; x++) out[row + x] = tensor[row + side - 1 - x];
  }
  return out;
}

// One {margins, scores, theta} per face; theta is null where the model straightens nothing.
// `run` takes (tensor, count) and gives margins, scores and, perhaps, theta, all flat.
export async function predict(faces, contract, run) {
  if (!faces.length) return [];
  const [count, labels] = [faces.length, contract.labels.length];
  const tensor = toTensor(faces, contract);
  // One call for the faces and their mirror images: two took a quarter longer for a single face.
  const found = contract.flip
    ? await run(joined(tensor, mirror(tensor, contract.face_px)), 2 * count)
    : await run(tensor, count);
  return faces.map((_, n) => {
    const part = (values, size, row = n) => Array.from(values.subarray(row * size, (row + 1) * size));
    const theta = found.theta ? part(found.theta, 6) : null;
    const margins = part(found.margins, labels);
    if (!contract.flip) return { margins, scores: calibrated(margins, contract), theta };
    const other = part(found.margins, labels, count + n);
    const mean = margins.map((margin, k) => Math.fround(Math.fround(margin + other[k]) * 0.5));
    return { margins: mean, scores: calibrated(mean, contract), theta };
  });
}

function joined(first, second) {
  const both = new Float32Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

const LEAST_BEND = 1e-6; // as predictor.py's: below, margins are log-odds already

// As predictor.py: the scale by the label with the highest margin, margins made log-odds.
export function calibrated(margins, { score_scale, score_factors, score_bend: bend }) {
  const top = margins.indexOf(Math.max(...margins));
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const log = (x) => (x < -30 ? x : Math.log(softplus(x)));
  const bent = (m) => (bend >= LEAST_BEND ? (2 * Math.LN2 * (log(bend * (m + 1)) - log(0))) / bend : m);
  return softmax(margins.map(bent), score_scale * (score_factors[top] ?? 1));
}

export function softmax(margins, scale) {
  const top = Math.max(...margins);
  const powers = margins.map((margin) => Math.exp(scale * (margin - top)));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => Math.fround(power / sum)); // as Python's, to the last bit or nearly
}

// A face in the shape of Python's `Face.to_dict()`; what was asked of certainty.js is added later.
export function toFace(detection, { margins, scores }, labels, warnings) {
  const sorted = [...scores].sort((a, b) => b - a);
  const named = (values) => Object.fromEntries(labels.map((label, k) => [label, values[k]]));
  return {
    box_xyxy: detection.box_xyxy,
    label: labels[scores.indexOf(sorted[0])],
    scores: named(scores),
    margins: named(margins),
    margin: sorted[0] - sorted[1],
    detector_score: detection.score,
    landmarks_xy: detection.landmarks_xy,
    set: null,
    sure: null,
    warnings,
  };
}

// What a spatial transformer looked at, as in report/straighten.py: the corners in the face of
// the area it samples from, px.
export function lookedAt([a, b, c, d, e, f], side) {
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([x, y]) => [
    ((a * x + b * y + c + 1) * side) / 2,
    ((d * x + e * y + f + 1) * side) / 2,
  ]);
}

// The face resampled under its map, bilinear, black outside.
export function straighten(face, [a, b, c, d, e, f]) {
  const side = face.width;
  const data = new Uint8ClampedArray(face.data.length);
  const at = (x, y, channel) =>
    x < 0 || y < 0 || x >= side || y >= side ? 0 : face.data[4 * (y * side + x) + channel];
  for (let v = 0; v < side; v++) {
    for (let u = 0; u < side; u++) {
      const [x, y] = [((u + 0.5) * 2) / side - 1, ((v + 0.5) * 2) / side - 1];
      const px = ((a * x + b * y + c + 1) * side) / 2 - 0.5;
      const py = ((d * x + e * y + f + 1) * side) / 2 - 0.5;
      const [i, j] = [Math.floor(px), Math.floor(py)];
      const [p, q] = [px - i, py - j];
      for (let k = 0; k < 3; k++) {
        const top = at(i, j, k) * (1 - p) + at(i + 1, j, k) * p;
        const bottom = at(i, j + 1, k) * (1 - p) + at(i + 1, j + 1, k) * p;
        data[4 * (v * side + u) + k] = top * (1 - q) + bottom * q;
      }
      data[4 * (v * side + u) + 3] = 255;
    }
  }
  return { data, width: side, height: side };
}
