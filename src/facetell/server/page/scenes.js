// What changes between frames: movement, and cuts to another scene. The same steps and numbers as
// runtime/scenes.py.

const GRID = [18, 32]; // cells, rows and columns
const SAMPLES = 4; // pixels taken of each cell, per axis
const CUT = 0.3; // correlation of two thumbnails below which they show different scenes
const CHANGED = 10; // grey levels: a cell that changed more shows something else
const FLAT = 2; // deviation of a thumbnail that shows nothing, grey levels

// The brightness of a frame in 18 x 32 cells, 0-255, from a few pixels of each.
export function thumbnail({ data, width, height }) {
  const [rows, columns] = GRID.map((cells) => cells * SAMPLES);
  const cells = new Float32Array(GRID[0] * GRID[1]);
  for (let v = 0; v < rows; v++) {
    const row = Math.floor((v * height) / rows) * width;
    const cell = Math.floor(v / SAMPLES) * GRID[1];
    for (let u = 0; u < columns; u++) {
      const green = data[4 * (row + Math.floor((u * width) / columns)) + 1];
      cells[cell + Math.floor(u / SAMPLES)] += green / SAMPLES ** 2;
    }
  }
  return cells;
}

// The largest change of a cell of two thumbnails, grey levels.
export function movement(before, now) {
  return now.reduce((most, value, i) => Math.max(most, Math.abs(value - before[i])), 0);
}

// Whether two thumbnails show different scenes; a flash, a fade or a passer-by is none.
export function isCut(before, now) {
  const changed = now.filter((value, i) => Math.abs(value - before[i]) > CHANGED).length;
  if (changed / now.length < 0.5) return false;
  const [first, second] = [centred(before), centred(now)];
  const deviations = [first, second].map((values) => Math.sqrt(dot(values, values) / values.length));
  if (deviations.some((deviation) => deviation < FLAT)) return false;
  return dot(first, second) / (now.length * deviations[0] * deviations[1]) < CUT;
}

function centred(values) {
  const mean = values.reduce((total, value) => total + value, 0) / values.length;
  return Float64Array.from(values, (value) => value - mean);
}

function dot(a, b) {
  return a.reduce((total, value, i) => total + value * b[i], 0);
}
