// Frames, one after the other -> the people in sight, each with a number. The same steps and
// numbers as runtime/finder.py: the whole frame is searched now and then, which finds newcomers;
// in between each face is found in a small window around where it should be.

import { byArea, suppress } from "./detect.js";
import { cut } from "./resample.js";
import { isCut, movement, thumbnail } from "./scenes.js";
import { makeTracker } from "./track.js";

const SEARCH_S = 0.5; // a newcomer waits at most so long for the next search of the whole frame
const SOON_S = 0.2; // while somebody is out of sight, or nobody is there yet
const STILL_S = 2; // while nothing in the frame moves
const STILL = 8; // grey levels of movement() below which nothing moves
const WINDOW = 2.2; // side of the window around a face, in sizes of the face
const WINDOW_GROWS = 3; // and how much more for each second since the face was seen
const WINDOW_MOST = 4;
const INSIDE = 0.4; // sizes of a face that must lie between its middle and the window's edge
const FACE_PX = 40; // a face in its window is scaled to this
const OVERLAP = 0.3; // faces that overlap more (IoU) are one
// Python has no such rule. Where searching a frame takes longer than SEARCH_S, each frame would
// be searched and none be quick; so that waits for the third while nobody is missing.
const SEARCH_FRAMES = 3;

// `detect` takes (picture, side) and gives a promise of the faces in it, largest first; whole
// frames are searched at `side`.
export function makeFinder(detect, side) {
  const tracker = makeTracker();
  let frame = 0;
  let last = null; // thumbnail of the frame before, ...
  let last_s = -Infinity; // ... and its time
  let searched = null; // {now, time_s, frame} of the frame searched last, `now` its thumbnail

  // The people in sight in the next frame: {people, frame, isSearched}, `people` each with
  // {person, detection, seen}, largest first.
  async function find(image, time_s) {
    const now = thumbnail(image);
    if (time_s < last_s || (last && isCut(last, now))) startOver();
    [last, last_s] = [now, time_s];
    const moment = { time_s, frame: ++frame };
    const expected = tracker.expect(moment);
    const found = await searchWindows(image, expected, time_s, detect);
    const isSearched = isDue(now, expected, found, moment);
    if (isSearched) {
      found.push(...(await detect(image, side)));
      searched = { ...moment, now };
    }
    const people = tracker.update(suppress(found, OVERLAP), moment, isSearched);
    return { people: people.sort((a, b) => byArea(a.detection, b.detection)), frame, isSearched };
  }

  // Whether the whole frame is searched.
  function isDue(now, expected, found, moment) {
    if (!searched) return true;
    let pause = expected.length && found.length >= expected.length ? SEARCH_S : SOON_S;
    if (movement(searched.now, now) < STILL) pause = Math.max(pause, Math.min(STILL_S, 4 * pause));
    if (moment.time_s - searched.time_s < pause - 1e-6) return false;
    const isSoon = expected.length > 0 && moment.frame - searched.frame < SEARCH_FRAMES;
    return !isSoon || tracker.missing(found, moment) > 0;
  }

  // Everybody is gone, as after a cut or a jump; numbers go on after `number`.
  function startOver(number) {
    tracker.forget(number);
    [last, last_s, searched] = [null, -Infinity, null];
  }

  return { find, startOver };
}

// The faces of the people expected, each searched where it should be.
async function searchWindows(image, expected, time_s, detect) {
  const found = [];
  for (const { detection, seen } of expected) {
    const sizes = Math.min(WINDOW + WINDOW_GROWS * (time_s - seen.time_s), WINDOW_MOST);
    found.push(...(await searchWindow(image, detection.box_xyxy, sizes, detect)));
  }
  // Two windows may show one face: the one in the middle first.
  return found.sort((a, b) => a.off - b.off).map(({ face }) => face);
}

// Faces near a box in the picture's coordinates, with their distance from its middle, px. A face
// that the window cuts is left out: its box would be wrong.
async function searchWindow(image, box, sizes, detect) {
  const [x, y] = middle(box);
  const half = (sizes * longer(box)) / 2;
  const [left, top] = [x, y].map((at) => Math.max(0, Math.floor(at - half)));
  const right = Math.min(image.width, Math.ceil(x + half));
  const bottom = Math.min(image.height, Math.ceil(y + half));
  if (Math.min(right - left, bottom - top) < 2) return [];
  const side = Math.max(64, 32 * Math.ceil((sizes * FACE_PX) / 32));
  const near = await detect(cut(image, left, top, right, bottom), side);
  return near
    .map((face) => {
      const moved = move(face, left, top);
      const there = middle(moved.box_xyxy);
      return { face: moved, off: Math.max(Math.abs(there[0] - x), Math.abs(there[1] - y)) };
    })
    .filter(({ face, off }) => off <= half - INSIDE * longer(face.box_xyxy));
}

function middle([x1, y1, x2, y2]) {
  return [(x1 + x2) / 2, (y1 + y2) / 2];
}

function longer([x1, y1, x2, y2]) {
  return Math.max(x2 - x1, y2 - y1);
}

function move(face, x, y) {
  const [x1, y1, x2, y2] = face.box_xyxy;
  return {
    ...face,
    box_xyxy: [x1 + x, y1 + y, x2 + x, y2 + y],
    landmarks_xy: face.landmarks_xy.map(([u, v]) => [u + x, v + y]),
  };
}
