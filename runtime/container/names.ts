// Container names: who has which, and made-up ones in Docker's shape (adjective_surname).
import { fail } from '../../base/errors.ts';
import { madeUpName } from '../../base/made-up-name.ts';
import type { Random } from '../../base/random.ts';

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;
const TRIES = 8;

export class Names {
  readonly #owners = new Map<string, string>(); // name → container id
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  owner(name: string): string | undefined {
    return this.#owners.get(name);
  }

  /** Reserves the name, or a made-up one for ''. */
  take(asked: string, id: string): string {
    const name = asked === '' ? this.#invent(id) : checked(asked);
    const owner = this.#owners.get(name);
    if (owner !== undefined && owner !== id) {
      const advice = 'You have to remove (or rename) that container to be able to reuse that name.';
      fail('conflict', `Conflict. The container name "/${name}" is already in use by container "${owner}". ${advice}`);
    }
    this.#owners.set(name, id);
    return name;
  }

  release(name: string, id: string): void {
    if (this.#owners.get(name) === id) this.#owners.delete(name);
  }

  #invent(id: string): string {
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      const base = madeUpName(this.#random);
      const name = attempt === 0 ? base : `${base}${this.#random.below(10)}`;
      if (!this.#owners.has(name)) return name;
    }
    return id.slice(0, 12);
  }
}

function checked(asked: string): string {
  const name = asked.replace(/^\//, '');
  if (!NAME.test(name)) {
    fail('invalid', `Invalid container name (${asked}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  }
  return name;
}
