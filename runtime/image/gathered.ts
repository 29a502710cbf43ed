// Small pieces joined: what a piece costs on its way between threads is then paid for many bytes, however an archive was cut.

/** Pieces of about `bytes`; one that is as long itself passes as it is. */
export function* gathered(pieces: Iterable<Uint8Array>, bytes: number): Generator<Uint8Array> {
  let place = new Uint8Array(0);
  let used = 0;
  for (const piece of pieces) {
    if (used > 0 && used + piece.length > place.length) {
      yield place.subarray(0, used);
      place = new Uint8Array(0); // the receiver has it
      used = 0;
    }
    if (piece.length >= bytes) {
      yield piece;
      continue;
    }
    if (place.length === 0) place = new Uint8Array(bytes);
    place.set(piece, used);
    used += piece.length;
  }
  if (used > 0) yield place.slice(0, used);
}
