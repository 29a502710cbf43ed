// Container names: who has which, and made-up ones in Docker's shape (adjective_surname).
import { fail } from '../../base/errors.ts';
import type { Random } from '../../base/random.ts';

const ADJECTIVES =
  `agile amber ancient balmy brisk bronze calm careful cheerful clever coastal copper cordial crisp curious daring
deep diligent eager early earnest fair fearless festive fluent frank fresh gentle gilded glad golden graceful hardy
hearty honest humble ivory jolly keen kind lively loyal lucid mellow merry modest nimble noble patient placid plucky
polite prompt proud quick quiet radiant rapid robust rustic sage serene sharp silver sincere sleek smooth snug solid
spry steady stout sunny swift tidal tidy tranquil trusty upbeat vivid warm watchful witty zesty`.split(/\s+/);

const SURNAMES =
  `abel agnesi anning banach beaufort bernoulli bohr boole bose carson cauchy celsius cousteau curie dalton darwin
descartes dijkstra earle einstein erdos euclid euler faraday fermat fermi feynman fourier franklin galileo galois gauss
germain goodall hamilton hawking hensen herschel hertz hilbert hodgkin hopper hubble huygens hypatia jacobi kepler
knuth kovalevskaya lagrange lamport laplace leavitt leibniz lovelace maury maxwell meitner mendel minsky nansen napier
newton noether ohm pascal pasteur pauling peano planck poincare ptolemy ramanujan ride sagan shannon tesla turing volta
wallace watt wegener wiles wing wu yalow`.split(/\s+/);

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
      const base = `${this.#pick(ADJECTIVES)}_${this.#pick(SURNAMES)}`;
      const name = attempt === 0 ? base : `${base}${this.#random.below(10)}`;
      if (!this.#owners.has(name)) return name;
    }
    return id.slice(0, 12);
  }

  #pick(words: readonly string[]): string {
    return words[this.#random.below(words.length)] ?? '';
  }
}

function checked(asked: string): string {
  const name = asked.replace(/^\//, '');
  if (!NAME.test(name)) {
    fail('invalid', `Invalid container name (${asked}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  }
  return name;
}
