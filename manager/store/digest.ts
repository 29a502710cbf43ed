// A digest of the whole state, for simulators and tests: two machines at the same index must have the same one.
// Each object is hashed once and remembered; the sum does not depend on the order of objects.
import { createHash } from 'node:crypto';
import { ownText, SharedTexts } from './codec.ts';
import { definitionOf, KIND_NAMES, type StoredObject } from './kinds.ts';
import type { State } from './tables.ts';

type Lanes = readonly [number, number];

export class Digest {
  readonly #known = new WeakMap<StoredObject, Lanes>();

  of(state: State): string {
    const texts = new SharedTexts();
    let [a, b] = [0, 0];
    for (const kind of KIND_NAMES) {
      for (const object of state.tables.of(kind).all()) {
        const lanes = this.#lanes(kind, object, texts);
        a = (a + lanes[0]) >>> 0;
        b = (b + lanes[1]) >>> 0;
      }
    }
    return `${state.version}:${hex(a)}${hex(b)}`;
  }

  #lanes(kind: (typeof KIND_NAMES)[number], object: StoredObject, texts: SharedTexts): Lanes {
    const known = this.#known.get(object);
    if (known) return known;
    const definition = definitionOf(kind);
    const meta = `${kind}\n${object.version}\n${object.createdAtMs}\n${object.updatedAtMs}\n`;
    const hash = createHash('sha256')
      .update(`${meta}${texts.of(definition, object)}\n${ownText(definition, object)}`)
      .digest();
    const lanes: Lanes = [hash.readUInt32LE(0), hash.readUInt32LE(4)];
    this.#known.set(object, lanes);
    return lanes;
  }
}

const hex = (value: number): string => value.toString(16).padStart(8, '0');
