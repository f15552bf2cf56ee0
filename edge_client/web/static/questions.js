// Which utterance the page asks about. Of the last ones, the newest comes first.

// Follow the newest, until the next answer.
export const NEWEST = "newest";

// The device was unsure of it, and nobody has said what it was.
export const isOpen = ({ id, unsure, label }) => unsure && !label && id > 0;

// What to show: the utterance that its user went back to; or the one that was just answered, until
// something new is heard; or the newest that is open; or the newest.
export function asked(recent, chosen, answered) {
  if (chosen === NEWEST) return recent[0];
  const find = (wanted) => recent.find(({ id }) => id === wanted);
  const stays = answered && answered.newest === recent[0]?.id;
  return find(chosen) ?? (stays ? find(answered.id) : undefined) ?? recent.find(isOpen) ?? recent[0];
}

// What comes next: another that is open, unless it is asked about one already; or the newest.
export function following(recent, shown) {
  return (isOpen(shown) ? undefined : recent.find(isOpen)) ?? recent[0];
}
