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

// {lead, verdict, sentence} of a face.
export function sureness({ scores, sure, warnings }) {
  const [[, top], [second, next]] = ranked(scores);
  const lead = top - next;
  const points = Math.round(100 * lead);
  const verdict = lead < CLOSE ? "close call" : lead < CLEAR ? "leaning" : "clear lead";
  const ahead = `${points} point${points === 1 ? "" : "s"} ahead of ${second}`;
  if (sure === false) {
    const why = warnings.length ? ` (${warnings.join(", ")})` : "";
    return { lead, verdict, sentence: `not sure enough to answer${why}` };
  }
  return { lead, verdict, sentence: lead < CLOSE ? `only ${ahead}` : ahead };
}

// A level or a share that somebody asked for: 0.9 -> "90 %", 0.825 -> "82.5 %".
export function asked(number) {
  return `${Number((100 * number).toFixed(1))}\u00a0%`;
}

// The label with a question mark where the model is not sure, as on Python's annotated pictures.
export function labelText({ label, sure }) {
  return sure === false ? `${label}?` : label;
}

// What else the face may look like, "" where no set was asked for.
export function setSentence({ label, set }, level) {
  if (set === null) return "";
  const others = set.filter((name) => name !== label);
  const what = others.length ? `May also be: ${others.join(", ")}.` : "No other word is listed.";
  return `${what} Such lists are right for ${asked(level)} of faces.`;
}
