// Faces found in single frames -> people who keep their number over time. The same steps and
// numbers as faces/track.py: a constant-velocity Kalman filter for the middle of each face and a
// slow average of its size. One thing more: where frames come slowly, frames count beside seconds.
//
// A moment is {time_s, frame}: when a frame is shown, and its number.

// Lengths are in sizes of the face (its longer side).
const ACCELERATION = 6; // sizes / s²: a head that starts, stops or turns
const NOISE = 0.03; // sizes: how far the detector's boxes tremble
const FIRST_SPEED = 1; // sizes / s: what is not known about a newcomer
const SLOWING_S = 0.4; // out of sight, a person's speed falls by 1/e in this time
const SIZE_S = 0.15; // averaging time of width and height
const REACH = 0.7; // sizes: how far from the expected place a face may be found
const REACH_GROWS = 1.2; // sizes / s: and how much farther for each second out of sight
const WIDEST_REACH = 1.6; // sizes
const LARGEST_CHANGE = Math.log(2); // of the size, between two sightings
const REMEMBER_S = 1.2; // a person out of sight keeps the number for so long, ...
const REMEMBER_FRAMES = 3; // ... or for so many frames

// Whether somebody seen at that moment still counts as the same now.
export function isRemembered(then, now) {
  return now.time_s - then.time_s <= REMEMBER_S || now.frame - then.frame <= REMEMBER_FRAMES;
}

// Gives detections the numbers of people. One for each clip.
export function makeTracker() {
  let people = [];
  let count = 0;

  const remembered = (now) => people.filter((one) => isRemembered(one.seen, now));

  // The people whose faces these are, in the order of the detections: {person, detection, seen}.
  // Without `newcomers` a face that belongs to nobody is left out.
  function update(detections, now, newcomers = true) {
    people = remembered(now);
    const owners = assign(expect(now), detections, now.time_s).map((owner) => people[owner]);
    for (const one of people) moveTo(one, now.time_s);
    const seen = [];
    detections.forEach((detection, n) => {
      if (!owners[n] && !newcomers) return;
      const one = owners[n] ?? newPerson(++count, detection, now);
      if (!owners[n]) people.push(one);
      see(one, detection, now);
      seen.push(placed(one, now.time_s));
    });
    return seen;
  }

  // Everybody remembered, where they should be at that moment; nothing is changed.
  function expect(now) {
    return remembered(now).map((one) => placed(one, now.time_s));
  }

  // How many of those remembered none of the detections belongs to.
  function missing(detections, now) {
    const expected = expect(now);
    const found = assign(expected, detections, now.time_s).filter((owner) => owner !== undefined);
    return expected.length - found.length;
  }

  // Everybody is gone, as after a cut to another scene. Numbers are not used again, unless those
  // above `last` are not known to anybody any more.
  function forget(last = count) {
    people = [];
    count = last;
  }

  return { update, expect, missing, forget };
}

function newPerson(person, detection, seen) {
  const { centre, size } = measure(detection);
  const unit = Math.max(...size) ** 2;
  return {
    person, detection, seen, size, time_s: seen.time_s, position: centre, velocity: [0, 0],
    // Of position, of both, of velocity; one filter's numbers serve x and y.
    spread: [unit * NOISE ** 2, 0, unit * FIRST_SPEED ** 2],
  };
}

// Predict: Kalman's first step.
function moveTo(one, time_s) {
  const step = Math.max(0, time_s - one.time_s);
  const push = (Math.max(...one.size) * ACCELERATION) ** 2;
  const [p, q, r] = one.spread;
  Object.assign(one, stateAt(one, time_s));
  one.spread = [
    p + 2 * step * q + step ** 2 * r + (step ** 4 / 4) * push,
    q + step * r + (step ** 3 / 2) * push,
    r + step ** 2 * push,
  ];
  one.time_s = Math.max(one.time_s, time_s);
}

function stateAt({ position, velocity, time_s: from, seen }, time_s) {
  const step = Math.max(0, time_s - from);
  const isHidden = from > seen.time_s;
  const fading = isHidden ? Math.exp(-step / SLOWING_S) : 1;
  // While hidden the way is the integral of a speed that dies away.
  const stillToGo = isHidden ? SLOWING_S * (1 - fading) : step;
  return {
    position: position.map((value, axis) => value + velocity[axis] * stillToGo),
    velocity: velocity.map((value) => value * fading),
  };
}

// Correct: Kalman's second step.
function see(one, detection, now) {
  const { centre, size } = measure(detection);
  const [p, q, r] = one.spread;
  const sum = p + (NOISE * Math.max(...one.size)) ** 2;
  const off = centre.map((value, axis) => value - one.position[axis]);
  one.position = one.position.map((value, axis) => value + (p / sum) * off[axis]);
  one.velocity = one.velocity.map((value, axis) => value + (q / sum) * off[axis]);
  one.spread = [p - (p / sum) * p, q - (p / sum) * q, r - (q / sum) * q];
  const share = 1 - Math.exp(-(now.time_s - one.seen.time_s) / SIZE_S);
  one.size = one.size.map((value, axis) => value * (size[axis] / value) ** share);
  Object.assign(one, { detection, seen: now });
}

// A person at a time: the box with the tremble of single detections smoothed out.
function placed(one, time_s) {
  const [x, y] = stateAt(one, time_s).position;
  const [width, height] = one.size;
  const { centre } = measure(one.detection);
  const detection = {
    ...one.detection,
    box_xyxy: [x - width / 2, y - height / 2, x + width / 2, y + height / 2],
    landmarks_xy: one.detection.landmarks_xy.map(([u, v]) => [u + x - centre[0], v + y - centre[1]]),
  };
  return { person: one.person, detection, seen: one.seen };
}

function measure({ box_xyxy: [x1, y1, x2, y2] }) {
  return {
    centre: [(x1 + x2) / 2, (y1 + y2) / 2],
    size: [Math.max(x2 - x1, 1), Math.max(y2 - y1, 1)],
  };
}

// 0 where somebody is expected, 1 at the edge of what may be the same person, more beyond.
function distance(expected, detection, time_s) {
  const { centre, size } = measure(detection);
  const there = measure(expected.detection);
  const reach = Math.min(REACH + REACH_GROWS * (time_s - expected.seen.time_s), WIDEST_REACH);
  const length = Math.max(...there.size);
  const off = Math.hypot(centre[0] - there.centre[0], centre[1] - there.centre[1]);
  const grown = Math.abs(Math.log(Math.max(...size) / length)) / LARGEST_CHANGE;
  return Math.hypot(off / (reach * length), grown);
}

// For each detection the index of its person, or undefined: the nearest pairs first.
function assign(expected, detections, time_s) {
  const pairs = expected.flatMap((one, row) =>
    detections.map((detection, n) => ({ row, n, apart: distance(one, detection, time_s) })),
  );
  const owners = Array(detections.length).fill(undefined);
  for (const { row, n, apart } of pairs.sort((a, b) => a.apart - b.apart)) {
    if (apart <= 1 && owners[n] === undefined && !owners.includes(row)) owners[n] = row;
  }
  return owners;
}
