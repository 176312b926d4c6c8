// Scores -> the labels that a face may have, and whether the model is sure of its answer. The same
// rules as runtime/certainty.py, by the tables in the model's contract.

const NEAR = 1e-9; // between two numbers that mean the same level or share

// The score from which each label is in a face's set, at the contract's next level from `level`
// up; null where nothing is asked for, the model was not calibrated, or has no such level.
export function leastScores({ certainty }, level) {
  if (level === null || !certainty || level < certainty.levels[0] - NEAR) return null;
  return certainty.least_scores[certainty.levels.findIndex((one) => one + NEAR >= level)] ?? null;
}

// The highest score from which a face is answered, so that about this share of faces is; between
// the contract's shares on a line. Null as above.
export function sureScore({ certainty }, share) {
  if (share === null || !certainty) return null;
  const { shares, sure_scores: scores } = certainty;
  const last = shares.length - 1;
  if (share < shares[0] - NEAR || share > shares[last] + NEAR) return null;
  const at = shares.findLastIndex((one) => one <= share);
  if (at < 0) return scores[0];
  if (at === last) return scores[last];
  const slope = (scores[at + 1] - scores[at]) / (shares[at + 1] - shares[at]);
  return slope * (share - shares[at]) + scores[at];
}

// A function face -> the face with `set` and `sure` as they were asked for, by its label and
// scores; null is in their place where they were not, or the model cannot say. A face with a
// warning is never sure.
export function makeDoubt(contract, { sets, abstain }) {
  const [least, sure] = [leastScores(contract, sets), sureScore(contract, abstain)];
  return (face) => {
    const { label, scores, warnings } = face;
    const best = Math.max(...Object.values(scores));
    return {
      ...face,
      set: least && labelSet(label, scores, best, contract.labels, least),
      sure: sure === null ? null : !warnings.length && best >= sure,
    };
  };
}

// The highest score first. The label that is shown always is in the set.
function labelSet(shown, scores, best, labels, least) {
  const held = labels.filter((label, k) => scores[label] >= least[k] || scores[label] >= best);
  if (!held.includes(shown)) held.push(shown);
  return held.sort((one, other) => scores[other] - scores[one]);
}
