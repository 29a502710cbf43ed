// The key sequence that leaves a terminal without ending its process.
import { fail } from '../base/errors.ts';

const DEFAULT_KEYS = 'ctrl-p,ctrl-q';
const CONTROL_NAMES = '@abcdefghijklmnopqrstuvwxyz[\\]^_';

/** Reads `ctrl-a,b,ctrl-@` into bytes; an empty text means the default. */
export function parseDetachKeys(text: string): Buffer {
  const keys = (text === '' ? DEFAULT_KEYS : text).split(',').map((key) => keyCode(key, text));
  return Buffer.from(keys);
}

function keyCode(key: string, text: string): number {
  const control = /^ctrl-(.)$/.exec(key)?.[1];
  const code = control === undefined ? -1 : CONTROL_NAMES.indexOf(control);
  if (code >= 0) return code;
  if (key.length === 1 && key.charCodeAt(0) < 128) return key.charCodeAt(0);
  return fail('invalid', `invalid detach keys '${text}': unknown character '${key}'`);
}

/** Watches what is typed. Keys of a sequence that has begun are held back until it is whole or broken. */
export class DetachScanner {
  readonly #keys: Buffer;
  #held = 0;

  constructor(keys: Buffer) {
    this.#keys = keys;
  }

  feed(bytes: Uint8Array): { pass: Buffer; detached: boolean } {
    const pass: number[] = [];
    for (const byte of bytes) {
      if (byte !== this.#keys[this.#held]) {
        pass.push(...this.#keys.subarray(0, this.#held));
        this.#held = 0;
      }
      if (byte !== this.#keys[this.#held]) pass.push(byte);
      else this.#held += 1;
      if (this.#held === this.#keys.length) return { pass: Buffer.from(pass), detached: true };
    }
    return { pass: Buffer.from(pass), detached: false };
  }
}
