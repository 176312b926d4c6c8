// Scores -> how sure the model is, in words that promise no more than the numbers.

const CLOSE = 0.15; // lead over the second label below which neither is worth believing
const CLEAR = 0.5;

export function percent(score) {
  return `${Math.round(100 * score)}\u00a0%`; // unbreakable
}

// Labels with scores, highest first.
export function ranked(scores) {
  return Object.entries(scores).sort((a, b) => b[1] - a[1]);
}

// {lead, verdict, sentence} of a face's scores.
export function sureness(scores) {
  const [[, top], [second, next]] = ranked(scores);
  const lead = top - next;
  const points = Math.round(100 * lead);
  const verdict = lead < CLOSE ? "close call" : lead < CLEAR ? "leaning" : "clear lead";
  const ahead = `${points} point${points === 1 ? "" : "s"} ahead of ${second}`;
  return { lead, verdict, sentence: lead < CLOSE ? `only ${ahead}` : ahead };
}
