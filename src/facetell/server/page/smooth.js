// Each person's scores over time as the page shows them. Files hold each frame's own.

const SMOOTHING_S = 0.2; // scores move this fast towards the newest frame's

// A function (person, scores, time_s) -> the person's scores, smoothed.
export function makeSmoother() {
  const people = new Map(); // number -> {scores, time_s}
  return (person, scores, time_s) => {
    const before = people.get(person) ?? { scores, time_s };
    const share = 1 - Math.exp(-(time_s - before.time_s) / SMOOTHING_S);
    const now = blend(before.scores, scores, share);
    people.set(person, { scores: now, time_s });
    return now;
  };
}

function blend(old, now, share) {
  return Object.fromEntries(
    Object.keys(now).map((name) => [name, old[name] + share * (now[name] - old[name])]),
  );
}
