// Faces of successive frames -> people: a face that overlaps one seen shortly before is theirs.

import { overlap } from "./detect.js";

const LEAST_OVERLAP = 0.2; // intersection over union with the last box
const LONGEST_GAP_S = 1; // a face unseen for longer comes back as somebody new, ...
const LONGEST_GAP = 3; // ... or unseen for so many frames, where those come slowly
const SMOOTHING_S = 0.2; // scores move this fast towards the newest frame's

// Whether somebody seen then, {time_s, frame}, still counts as the same now.
export function isStillSeen(then, now) {
  return now.time_s - then.time_s <= LONGEST_GAP_S || now.frame - then.frame <= LONGEST_GAP;
}

export function makeTracker() {
  let people = []; // {person, box, time_s, frame, scores}
  let last = 0;
  let frame = 0;

  // For each face {person, frame, scores}: their number, from 1, and their scores, smoothed.
  function follow(faces, time_s) {
    frame += 1;
    people = people.filter((one) => isStillSeen(one, { time_s, frame }));
    const matched = match(people, faces);
    return faces.map((face, n) => {
      const one = matched.get(n) ?? { person: ++last, time_s, scores: face.scores };
      if (!matched.has(n)) people.push(one);
      const share = 1 - Math.exp(-(time_s - one.time_s) / SMOOTHING_S);
      one.scores = blend(one.scores, face.scores, share);
      Object.assign(one, { box: face.box_xyxy, time_s, frame });
      return { person: one.person, frame, scores: one.scores };
    });
  }

  return { follow };
}

// Greedy: the pair that overlaps most first. Face index -> person.
function match(people, faces) {
  const pairs = people.flatMap((one) =>
    faces.map((face, n) => ({ one, n, shared: overlap(one.box, face.box_xyxy) })),
  );
  const matched = new Map();
  const taken = new Set();
  for (const { one, n, shared } of pairs.sort((a, b) => b.shared - a.shared)) {
    if (shared < LEAST_OVERLAP) break;
    if (matched.has(n) || taken.has(one)) continue;
    matched.set(n, one);
    taken.add(one);
  }
  return matched;
}

function blend(old, now, share) {
  const names = Object.keys(now);
  if (names.some((name) => !(name in old))) return now; // another model, other labels
  return Object.fromEntries(names.map((name) => [name, old[name] + share * (now[name] - old[name])]));
}
