// Faces cut out of a picture, upright. The same steps and numbers as faces/crop.py.

import { BICUBIC, cut, pad, resize, round, turn } from "./resample.js";

const CLOSEST_EYES = 0.15; // share of the box's longer side; closer eyes belong to a profile
const BORDER = 4; // pixels around the crop, so that the bicubic kernel never meets an edge

// Where the crop of a face lies: its upper left, upper right, lower right and lower left corner.
export function cropQuad({ box_xyxy: [x1, y1, x2, y2], landmarks_xy }, contract) {
  const longer = Math.max(x2 - x1, y2 - y1, 1);
  const half = ((1 + 2 * contract.crop_margin) * longer) / 2;
  const angle = contract.align ? tilt(landmarks_xy, longer) : 0;
  const right = [Math.cos(angle) * half, Math.sin(angle) * half];
  const down = [-right[1], right[0]];
  const centre = [(x1 + x2) / 2, (y1 + y2) / 2];
  return [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([u, v]) => [
    centre[0] + u * right[0] + v * down[0],
    centre[1] + u * right[1] + v * down[1],
  ]);
}

// A face as a square of the size a model takes, {data, width, height}.
export function cropFace(image, quad, facePx) {
  const side = Math.hypot(quad[1][0] - quad[0][0], quad[1][1] - quad[0][1]);
  const { picture, corners } = shrunkRegion(image, quad, Math.min(1, (2 * facePx) / side));
  const middle = Math.min(Math.max(Math.ceil(side), facePx), 2 * facePx);
  const [a, d] = [0, 1].map((axis) => (corners[1][axis] - corners[0][axis]) / middle);
  const [b, e] = [0, 1].map((axis) => (corners[3][axis] - corners[0][axis]) / middle);
  const turned = turn(picture, middle, middle, [a, b, corners[0][0], d, e, corners[0][1]]);
  return resize(turned, facePx, facePx, BICUBIC);
}

// Angle of the eye line, clockwise on the screen; 0 when it cannot be known.
function tilt(landmarks, longer) {
  if (landmarks.length < 2) return 0;
  const [[leftX, leftY], [rightX, rightY]] = landmarks;
  if (Math.hypot(rightX - leftX, rightY - leftY) < CLOSEST_EYES * longer) return 0;
  return Math.atan2(rightY - leftY, rightX - leftX);
}

// The part of the picture around a quad, shrunk, and the quad's corners in it.
function shrunkRegion(image, quad, shrink) {
  const size = [image.width, image.height];
  const border = Math.ceil(BORDER / shrink);
  const least = (axis, points) => Math.min(...points.map((point) => point[axis]));
  const most = (axis, points) => Math.max(...points.map((point) => point[axis]));
  const axes = [0, 1];
  const low = axes.map((axis) => clamp(Math.floor(least(axis, quad)) - border, 0, size[axis] - 1));
  const high = axes.map((axis) =>
    clamp(Math.ceil(most(axis, quad)) + border, low[axis] + 1, size[axis]),
  );
  const inside = cut(image, low[0], low[1], high[0], high[1]);
  const small = axes.map((axis) => Math.max(1, round((high[axis] - low[axis]) * shrink)));
  const corners = quad.map((point) =>
    axes.map((axis) => (point[axis] - low[axis]) * (small[axis] / (high[axis] - low[axis]))),
  );
  const before = axes.map((axis) => Math.max(0, Math.ceil(-least(axis, corners)) + BORDER));
  const after = axes.map((axis) =>
    Math.max(0, Math.ceil(most(axis, corners) - small[axis]) + BORDER),
  );
  const shrunk = resize(inside, small[0], small[1], BICUBIC, 3);
  return {
    picture: pad(shrunk, before[0], before[1], after[0], after[1]),
    corners: corners.map((point) => axes.map((axis) => point[axis] + before[axis])),
  };
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}
