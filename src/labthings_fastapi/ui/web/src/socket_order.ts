// The order of messages.

/** Sequence numbers are `<start of the server>-<n>`, and rise. */
export function isSeen(last: string | null, next: string | undefined): boolean {
  if (!last || !next) return false;
  const [before, a = ""] = last.split("-");
  const [now, b = ""] = next.split("-");
  return before === now && Number(b) <= Number(a);
}
