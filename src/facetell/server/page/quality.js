// A face crop -> what may make its scores worthless. The same measures as runtime/quality.py.

import { BICUBIC, resize } from "./resample.js";

const [SIDE, CELLS, WAVES] = [48, 12, 5];
const WAVE = Array.from({ length: CELLS }, (_, k) => {
  const wave = Array.from({ length: CELLS }, (_, i) => Math.cos((k * (i + 0.5) * Math.PI) / CELLS));
  const length = Math.hypot(...wave);
  return wave.map((value) => value / length);
});

// Names in Python's order.
export function warn(crop, { box_xyxy: [x1, y1, x2, y2], score }) {
  const { data } = resize(crop, SIDE, SIDE, BICUBIC);
  const green = Array.from({ length: SIDE * SIDE }, (_, i) => data[4 * i + 1]);
  const light = variance(green);
  const flat = Math.sqrt(light) < 10;
  const found = {
    small: Math.max(x2 - x1, y2 - y1) < 24,
    dark: mean(green) < 25,
    bright: green.filter((value) => value >= 247).length > 0.4 * green.length,
    flat,
    blurred: !flat && variance(laplacian(green)) / Math.max(light, 1) < 0.12,
    doubtful: score < 0.6 || (!flat && coarse(green) < 0.36),
  };
  return Object.keys(found).filter((name) => found[name]);
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function variance(values) {
  const middle = mean(values);
  return mean(values.map((value) => (value - middle) ** 2));
}

function laplacian(values) {
  const out = [];
  for (let y = 1; y < SIDE - 1; y++) {
    for (let x = 1; x < SIDE - 1; x++) {
      const i = y * SIDE + x;
      out.push(4 * values[i] - values[i - 1] - values[i + 1] - values[i - SIDE] - values[i + SIDE]);
    }
  }
  return out;
}

// Share of a thumbnail's variance in its lowest cosines.
function coarse(values) {
  const cell = SIDE / CELLS;
  const cells = Array(CELLS * CELLS).fill(0);
  values.forEach((value, i) => {
    const [y, x] = [Math.floor(i / SIDE / cell), Math.floor((i % SIDE) / cell)];
    cells[y * CELLS + x] += value / cell ** 2;
  });
  const middle = mean(cells);
  const centred = cells.map((value) => value - middle);
  let energy = 0;
  for (let u = 0; u <= WAVES; u++) {
    for (let v = 0; u + v <= WAVES; v++) {
      if (u + v === 0) continue;
      const at = (i) => WAVE[u][Math.floor(i / CELLS)] * WAVE[v][i % CELLS];
      energy += centred.reduce((sum, value, i) => sum + value * at(i), 0) ** 2;
    }
  }
  return energy / Math.max(centred.reduce((sum, value) => sum + value ** 2, 0), 1);
}
