// Scores over time as lines on a canvas, and as rows for the table that says the same.

import { colourOf } from "./colours.js";
import { percent, ranked } from "./sureness.js";
import { isRemembered } from "./track.js";

const MARGIN = { left: 48, right: 96, top: 12, bottom: 26 };
const ROWS = 40;

// `points` are {time_s, frame, scores}, in the order of time; `span` is [from, to] in seconds.
export function drawChart(canvas, points, labels, span) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  context.font = '12px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif';
  const x = (time) =>
    MARGIN.left + ((time - span[0]) / (span[1] - span[0])) * (width - MARGIN.left - MARGIN.right);
  const y = (score) => height - MARGIN.bottom - score * (height - MARGIN.top - MARGIN.bottom);
  drawGrid(context, x, y, span, width);
  const visible = points.filter(({ time_s }) => time_s >= span[0] && time_s <= span[1]);
  // The highest line last, on top of the others.
  const order = visible.length ? ranked(visible.at(-1).scores).map(([label]) => label).reverse() : labels;
  for (const label of order) drawLine(context, visible, label, x, y);
  if (visible.length) drawEnds(context, visible.at(-1), x, y);
}

function drawGrid(context, x, y, [from, to], width) {
  context.lineWidth = 1;
  context.textBaseline = "middle";
  for (const score of [0, 0.25, 0.5, 0.75, 1]) {
    context.strokeStyle = score ? "rgb(255 255 255 / 12%)" : "rgb(255 255 255 / 40%)";
    context.beginPath();
    context.moveTo(MARGIN.left, y(score));
    context.lineTo(width - MARGIN.right, y(score));
    context.stroke();
    context.fillStyle = "rgb(190 198 200)";
    context.textAlign = "right";
    if (score % 0.5 === 0) context.fillText(`${100 * score} %`, MARGIN.left - 6, y(score));
  }
  context.textAlign = "center";
  const step = tickStep(to - from);
  for (let time = Math.ceil(from / step) * step; time <= to; time += step) {
    context.fillText(clock(time), x(time), y(0) + 15);
  }
}

function tickStep(length) {
  return [1, 2, 5, 10, 20, 30, 60, 120, 300, 600].find((step) => length / step <= 6) ?? 1200;
}

function drawLine(context, points, label, x, y) {
  for (const [width, style] of [[4, "rgb(20 24 26)"], [2, colourOf(label)]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.lineJoin = "round";
    context.beginPath();
    points.forEach(({ time_s, scores }, n) => {
      if (n > 0 && isRemembered(points[n - 1], points[n])) context.lineTo(x(time_s), y(scores[label]));
      else context.moveTo(x(time_s), y(scores[label]));
    });
    context.stroke();
  }
}

// The two highest labels beside the ends of their lines.
function drawEnds(context, { time_s, scores }, x, y) {
  context.textAlign = "left";
  const [first, second] = ranked(scores);
  const apart = Math.max(0, 15 - Math.abs(y(second[1]) - y(first[1]))); // so that both are legible
  const put = ([label, score], shift) => {
    context.fillStyle = colourOf(label);
    context.fillText(`${label} ${percent(score)}`, x(time_s) + 6, y(score) + shift);
  };
  put(first, -apart / 2);
  put(second, apart / 2);
}

// About forty of the points, evenly spread in time.
export function tableRows(points, most = ROWS) {
  if (points.length <= most) return points;
  return Array.from({ length: most }, (_, n) => points[Math.round((n * (points.length - 1)) / (most - 1))]);
}

// 75.4 -> "1:15"
export function clock(seconds) {
  const whole = Math.floor(seconds + 1e-9);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
