// Boxes, names and what the model looked at, drawn over the picture.

import { colourOf } from "./colours.js";
import { labelText, percent } from "./sureness.js";

const DARK = "rgb(20 20 20)";

// `people` gives each face's number and smoothed scores; `looks` where the model looked.
export function drawFaces(canvas, size_wh, { faces, people, looks, showLooks }) {
  [canvas.width, canvas.height] = size_wh;
  const context = canvas.getContext("2d");
  const zoom = size_wh[0] / (canvas.clientWidth || size_wh[0]); // picture pixels per screen pixel
  context.clearRect(0, 0, ...size_wh);
  faces.forEach((face, n) => {
    const colour = colourOf(people[n].label);
    if (showLooks) drawLook(context, looks[n], colour, zoom);
    drawBox(context, face.box_xyxy, colour, zoom);
  });
  // Names last, so that no box crosses one.
  faces.forEach((face, n) => drawName(context, face.box_xyxy, people[n], size_wh, zoom));
}

function drawBox(context, [x1, y1, x2, y2], colour, zoom) {
  // A dark line under the coloured one: one of the two shows on any background.
  for (const [width, style] of [[5, DARK], [2.5, colour]]) {
    context.strokeStyle = style;
    context.lineWidth = width * zoom;
    context.strokeRect(x1, y1, x2 - x1, y2 - y1);
  }
}

function drawLook(context, { quad, area, crop }, colour, zoom) {
  const corners = area ? area.map(([x, y]) => inPicture(quad, x / crop.width, y / crop.height)) : quad;
  context.setLineDash([4 * zoom, 4 * zoom]);
  for (const [width, style] of [[3, DARK], [1.5, colour]]) {
    context.strokeStyle = style;
    context.lineWidth = width * zoom;
    context.beginPath();
    corners.forEach((corner) => context.lineTo(...corner));
    context.closePath();
    context.stroke();
  }
  context.setLineDash([]);
}

// The point (u, v) of a crop, 0-1, in the picture.
function inPicture([start, right, , down], u, v) {
  return [0, 1].map((k) => start[k] + u * (right[k] - start[k]) + v * (down[k] - start[k]));
}

function drawName(context, [x1, y1, x2, y2], one, [width, height], zoom) {
  const isSmall = width / zoom < 520; // a phone's screen has no room for more
  const name = `${one.person} ${labelText(one)}`;
  const text = isSmall ? name : `${name} ${percent(one.score)}`;
  const size = (isSmall ? 11 : 13) * zoom;
  context.font = `600 ${size}px system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif`;
  const pad = (isSmall ? 3 : 5) * zoom;
  const [w, h] = [context.measureText(text).width + 2 * pad, size + 2 * pad];
  const middle = Math.min(Math.max((x1 + x2 - w) / 2, 0), Math.max(0, width - w));
  const below = y2 + pad / 2;
  const top = below + h <= height ? below : Math.max(0, y1 - h - pad / 2);
  context.fillStyle = DARK;
  context.beginPath();
  context.roundRect(middle, top, w, h, 4 * zoom);
  context.fill();
  context.fillStyle = colourOf(one.label);
  context.textBaseline = "middle";
  context.fillText(text, middle + pad, top + h / 2);
}
